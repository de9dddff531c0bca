import {
  formatReference,
  isBackup,
  parseReference,
  planReview,
  type Reference,
  type ReviewPolicy,
} from '../../lib/index.ts';

export type ImagePlan =
  | {
      readonly state: 'copy';
      readonly name: string;
      readonly source: Reference;
      readonly backup: Reference;
    }
  | { readonly state: 'ignored' | 'refused'; readonly name: string; readonly reason: string };

/** Reads names that are separated by white space; `#` starts a comment. */
export function parseImageList(text: string): readonly string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.replace(/(^|\s)#.*$/, ''))
    .join(' ')
    .split(/\s+/)
    .filter((name) => name !== '');
}

/** Plans an image as the webhook plans a Pod with it, so that both refuse and ignore the same images. */
export function planImage(name: string, policy: ReviewPolicy): ImagePlan {
  const plan = planReview(toPodReview(name), policy);
  const [image] = plan.images;
  if (image !== undefined) {
    const { source, backup } = image;
    return { state: 'copy', name: formatReference(source), source, backup };
  }
  const [refusal] = plan.refusals;
  if (refusal !== undefined) return { state: 'refused', name, reason: refusal.error.message };
  if (isBackup(parseReference(name), policy.backup)) {
    return { state: 'ignored', name, reason: 'it is in the backup already' };
  }
  const [warning = 'it needs no copy'] = plan.warnings;
  return { state: 'ignored', name, reason: warning.replace(/^container "image": ignored: /, '') };
}

function toPodReview(image: string): unknown {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'clone',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      operation: 'CREATE',
      dryRun: true,
      object: { spec: { containers: [{ name: 'image', image }] } },
    },
  };
}
