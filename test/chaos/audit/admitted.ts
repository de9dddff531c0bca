import { text, type Verdict } from '../answer.ts';
import type { Ledger } from '../ledger.ts';
import type { Write } from '../workload.ts';
import type { RegistryReader } from './registry-reader.ts';

/** Audits an admitted write at once. */
export async function auditAdmitted(
  write: Write,
  { patch = [] }: Verdict,
  { backup, registryReader, ledger }: AdmittedAudit,
): Promise<void> {
  const images = patch.filter(({ op, path }) => op === 'replace' && path.endsWith('/image'));
  ledger.check(
    'every image of an admitted write is patched',
    images.length === write.requestedImages.length,
    () =>
      `write ${write.nth}: ${images.length} of ${write.requestedImages.length} images are patched`,
  );
  for (const { path, value } of images) {
    const image = text(value);
    ledger.check(
      'every patch names the backup only',
      image.startsWith(`${backup}/backups/`),
      () => `write ${write.nth}: ${path} becomes ${image}`,
    );
    const original = patch.find(({ op, path: tested }) => op === 'test' && tested === path);
    const requested = write.requestedImages.find(({ image: name }) => name === original?.value);
    if (write.isDryRun || requested === undefined) continue;
    const { repository, reference } = readImage(image);
    const { digest, problems } = await registryReader.inspect(repository, reference, 'heads');
    ledger.check(
      'every admitted image was pullable when it was answered',
      problems.length === 0,
      () => `write ${write.nth}: ${image}: ${problems.join('; ')}`,
    );
    const right = requested.pinned === undefined ? requested.published.history : [requested.pinned];
    ledger.check(
      'a copy is what its tag held at the source',
      digest !== undefined && right.includes(digest),
      () => `write ${write.nth}: ${image} holds ${digest ?? 'nothing'}, not ${right.join(', ')}`,
    );
  }
}

export interface AdmittedAudit {
  /** Host of the backup, for nodes. */
  readonly backup: string;
  readonly registryReader: RegistryReader;
  readonly ledger: Ledger;
}

/** The repository of an image in the backup, and the digest or else the tag that a node pulls from it. */
export function readImage(image: string): {
  readonly repository: string;
  readonly reference: string;
} {
  const [, repository = '', tag = '', digest = tag] =
    /^[^/]+\/([^:@]+):([^@]+)(?:@(.+))?$/.exec(image) ?? [];
  return { repository, reference: digest };
}
