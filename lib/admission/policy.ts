import type { BackupLocation } from '../image/backup-name.ts';
import type { ImagePattern } from '../image/pattern.ts';

/** What the administrator decided, as far as it concerns a review. */
export interface ReviewPolicy {
  readonly backup: BackupLocation;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  /** Where it was not the administrator: who decided the two. */
  readonly ruledBy?: { readonly onError?: string; readonly onDeadline?: string };
  readonly ignoreImages: readonly ImagePattern[];
  /** Empty: every registry. */
  readonly sourceRegistries: readonly string[];
  /** `group/Kind`, or `*`. */
  readonly cloneOnlyOwners: readonly string[];
  readonly backupPullSecret?: string;
  /** Never looked into: what is needed for us, or for the backup registry, to start. */
  readonly excludedNamespaces: readonly string[];
  /** The Knative Service that we are. */
  readonly ownService?: { readonly namespace: string; readonly name: string };
}
