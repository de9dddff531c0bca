import { type Cloud, clouds } from '../image/cloud-registry.ts';

/** How the pods get an identity in a cloud. */
export interface CloudIdentity {
  /** File below knative/cloud/. */
  readonly kind: 'irsa' | 'pod-identity' | 'gke' | 'azure' | 'node-role';
  readonly clouds: readonly Cloud[];
  /** Of the ServiceAccount. */
  readonly annotation?: { readonly name: string; readonly value: string };
}

/** The forms of an identity, for messages. */
const forms: Readonly<Record<Cloud, string>> = {
  ecr: 'the ARN of a role (IRSA) or pod-identity',
  gar: 'gke or the e-mail address of a Google service account',
  acr: 'the client ID of an Azure identity',
};

/** Reads one entry of `CLOUD_IDENTITY`; `undefined` if it has no known form. */
export function parseCloudIdentity(value: string): CloudIdentity | undefined {
  if (/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=.@/-]{1,600}$/.test(value)) {
    const annotation = { name: 'eks.amazonaws.com/role-arn', value };
    return { kind: 'irsa', clouds: ['ecr'], annotation };
  }
  if (/^[a-z0-9-]{1,63}@[a-z0-9.-]{1,100}\.iam\.gserviceaccount\.com$/.test(value)) {
    const annotation = { name: 'iam.gke.io/gcp-service-account', value };
    return { kind: 'gke', clouds: ['gar'], annotation };
  }
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) {
    const annotation = { name: 'azure.workload.identity/client-id', value };
    return { kind: 'azure', clouds: ['acr'], annotation };
  }
  if (value === 'pod-identity') return { kind: value, clouds: ['ecr'] };
  if (value === 'gke') return { kind: value, clouds: ['gar'] };
  return value === 'node-role' ? { kind: value, clouds } : undefined;
}

/** One sentence for each cloud of `used` that has no identity or more than one, and for identities that are not used. */
export function findIdentityProblems(
  identities: readonly CloudIdentity[],
  used: readonly Cloud[],
): readonly string[] {
  const unused = identities.filter((each) => !each.clouds.some((cloud) => used.includes(cloud)));
  return [
    ...used.flatMap((cloud) => {
      const count = identities.filter((each) => each.clouds.includes(cloud)).length;
      if (count === 1) return [];
      return [
        `CLOUD_IDENTITY must have one entry for ${cloud}${count === 0 ? '' : `, not ${count}`}: ${forms[cloud]}, or as the last resort node-role`,
      ];
    }),
    ...unused.map(
      ({ kind }) =>
        `CLOUD_IDENTITY has an entry (${kind}) that neither REGISTRY_AUTH nor SOURCE_CLOUD_AUTH uses`,
    ),
  ];
}
