/** The registries of clouds whose identities open them: Amazon ECR, Google Artifact Registry, Azure Container Registry. */
export const clouds = ['ecr', 'gar', 'acr'] as const;

export type Cloud = (typeof clouds)[number];

/** Names and an example of a host, for messages. */
export const cloudRegistries = {
  ecr: { name: 'Amazon ECR', host: '123456789012.dkr.ecr.eu-central-1.amazonaws.com' },
  gar: { name: 'Google Artifact Registry', host: 'europe-west3-docker.pkg.dev' },
  acr: { name: 'Azure Container Registry', host: 'example.azurecr.io' },
} as const satisfies Readonly<Record<Cloud, object>>;

/** The account and region in a host of Amazon ECR; the second form has IPv4 and IPv6. */
const ecrPattern =
  /^(\d{12})\.dkr(?:\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.(?:com|com\.cn|eu)|-ecr(-fips)?\.([a-z0-9-]+)\.on\.(?:aws|amazonwebservices\.com\.cn))$/;

/** Anchored, because a token is sent to every host that matches: these domains belong to the vendors. */
const patterns: Readonly<Record<Cloud, RegExp>> = {
  ecr: ecrPattern,
  gar: /^(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)$/,
  acr: /^[a-z0-9-]+\.azurecr\.(?:io|cn|us)$/,
};

/** The cloud that a registry's host belongs to; `undefined` for every other registry. */
export function cloudOf(domain: string): Cloud | undefined {
  return clouds.find((cloud) => patterns[cloud].test(domain));
}

export interface EcrHost {
  readonly account: string;
  readonly region: string;
  readonly isFips: boolean;
}

export function parseEcrHost(domain: string): EcrHost | undefined {
  const [, account, fips, region, dualStackFips, dualStackRegion] = ecrPattern.exec(domain) ?? [];
  const name = region ?? dualStackRegion;
  if (account === undefined || name === undefined) return undefined;
  return { account, region: name, isFips: (fips ?? dualStackFips) !== undefined };
}
