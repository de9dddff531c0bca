import { isSeq } from 'yaml';
import { parseYaml } from '../../../lib/install/yaml.ts';

/** The name of the NetworkPolicy that opens what the cloud identities of an installation need. */
export function toIdentityPolicy(name: string): string {
  return `${name}-identity`;
}

/** One NetworkPolicy with the rules of all `overlays`, files of knative/cloud/; empty if none has one. */
export function joinPolicies(overlays: readonly string[]): string {
  const [policy, ...others] = overlays
    .flatMap((yaml) => parseYaml(yaml))
    .filter((object) => object.get('kind') === 'NetworkPolicy');
  if (policy === undefined) return '';
  for (const other of others) {
    const rules = other.getIn(['spec', 'egress']);
    if (!isSeq(rules)) continue;
    for (const rule of rules.items) policy.addIn(['spec', 'egress'], rule);
  }
  return String(policy);
}
