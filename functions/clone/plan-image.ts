import {
  formatReference,
  isBackup,
  parseReference,
  planReview,
  type Reference,
  type ReviewPolicy,
} from '../../lib/index.ts';

/** What is to become of one name that a person gave. */
export type Wanted =
  | {
      readonly state: 'wanted';
      readonly name: string;
      readonly source: Reference;
      readonly backup: Reference;
    }
  | { readonly state: 'left' | 'refused'; readonly name: string; readonly reason: string };

/** Names on lines or between spaces; what stands behind `#` is a remark. */
export function readNames(text: string): readonly string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.replace(/(^|\s)#.*$/, ''))
    .join(' ')
    .split(/\s+/)
    .filter((name) => name !== '');
}

/** The webhook's own plan for a Pod of that image: what it would refuse or leave alone is not copied by hand either. */
export function toWanted(name: string, policy: ReviewPolicy): Wanted {
  const plan = planReview(toPodReview(name), policy);
  const [image] = plan.images;
  if (image !== undefined) {
    const { source, backup } = image;
    return { state: 'wanted', name: formatReference(source), source, backup };
  }
  const [refusal] = plan.refusals;
  if (refusal !== undefined) return { state: 'refused', name, reason: refusal.error.message };
  if (isBackup(parseReference(name), policy.backup)) {
    return { state: 'left', name, reason: 'it is in the backup already' };
  }
  const [warning = 'left alone'] = plan.warnings;
  return { state: 'left', name, reason: warning.replace(/^container "image": /, '') };
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
