import { type Cloud, cloudOf } from '../../image/cloud-registry.ts';
import type {
  BackupCredentials,
  CredentialSource,
  Credentials,
  ImageCloner,
  Logger,
} from '../../ports/index.ts';
import {
  type CredentialCache,
  createCredentialCache,
  type IssueCredentials,
} from './credential-cache.ts';
import type { EcrIdentity, EcrIdentityOptions } from './ecr.ts';
import { withRenewal } from './renewal.ts';
import { withRepositories } from './repositories.ts';

export interface CloudIdentitiesOptions extends EcrIdentityOptions {
  readonly logger: Logger;
  /** A monotonic clock. */
  readonly now: () => number;
}

/** The identities of this pod in the clouds. */
export interface CloudIdentities {
  /** Credentials of the backup at `domain`, a registry of a cloud. */
  backup(domain: string): BackupCredentials;
  /** Credentials of the sources on registries of these clouds. */
  sources(clouds: readonly Cloud[]): CredentialSource;
  /**
   * Makes the cloner renew credentials that a registry refuses.
   * @param ecrBackup the host of a backup in Amazon ECR, whose missing repositories are created
   */
  wrap(cloner: ImageCloner, ecrBackup: string | undefined): ImageCloner;
}

const oneMinuteMs = 60_000;

export function openCloudIdentities(options: CloudIdentitiesOptions): CloudIdentities {
  const { logger, now } = options;
  let ecr: Promise<EcrIdentity> | undefined;
  const openEcr = (): Promise<EcrIdentity> => {
    ecr ??= import('./ecr.ts').then(({ createEcrIdentity }) => createEcrIdentity(options));
    return ecr;
  };
  const createCache = (
    issue: IssueCredentials,
    keyOf: (domain: string) => string,
  ): CredentialCache => createCredentialCache({ issue, keyOf, logger, now });
  const caches: Readonly<Record<Cloud, CredentialCache>> = {
    // A token opens every registry of a region.
    ecr: createCache(
      async (domain, signal) => await (await openEcr()).issue(domain, signal),
      (domain) => domain.replace(/^\d{12}\./, ''),
    ),
    gar: createCache(
      async () => await (await import('./gar.ts')).issueGarCredentials(),
      () => 'google',
    ),
    acr: createCache(
      async (domain, signal) =>
        await (await import('./acr.ts')).issueAcrCredentials(domain, signal),
      (domain) => domain,
    ),
  };
  const issued = new WeakSet<Credentials>();

  async function renew(
    domain: string,
    refused: Credentials,
    signal: AbortSignal,
  ): Promise<Credentials | undefined> {
    const cloud = cloudOf(domain);
    if (cloud === undefined) return undefined;
    const renewed = await caches[cloud].renew(domain, refused, signal);
    if (renewed !== undefined) issued.add(renewed);
    return renewed;
  }

  const defaultWait = { ms: oneMinuteMs, signal: new AbortController().signal };

  return {
    backup: (domain) => {
      const cloud = cloudOf(domain);
      if (cloud === undefined) throw new Error(`${domain} is no registry of a cloud`);
      return async (within = defaultWait) => {
        const credentials = await caches[cloud].get(domain, 'backup', within);
        issued.add(credentials);
        return credentials;
      };
    },

    sources: (clouds) => ({
      async credentialsFor({ domain }, within = defaultWait) {
        const cloud = cloudOf(domain);
        if (cloud === undefined || !clouds.includes(cloud)) return [];
        const credentials = await caches[cloud].get(domain, 'source', within);
        issued.add(credentials);
        return [credentials];
      },
    }),

    wrap(cloner, ecrBackup) {
      const renewing = withRenewal(cloner, { hasIssued: (each) => issued.has(each), renew });
      if (ecrBackup === undefined) return renewing;
      // Outermost, because a refused creation is not a refusal of the registry.
      return withRepositories(renewing, {
        isOwn: ({ domain }) => domain === ecrBackup,
        async create(repository, signal) {
          await (await openEcr()).createRepository(repository, signal);
          const { domain: registry, path } = repository;
          logger.info({ registry, repository: path }, 'repository exists now');
        },
      });
    },
  };
}
