import { Agent } from 'node:https';
import {
  CreateRepositoryCommand,
  ECRClient,
  GetAuthorizationTokenCommand,
} from '@aws-sdk/client-ecr';
import { CloneError } from '../../errors.ts';
import { type EcrHost, parseEcrHost } from '../../image/cloud-registry.ts';
import type { Repository } from '../../image/reference.ts';
import type { IssuedCredentials } from './credential-cache.ts';
import { IdentityError, toSafeText } from './identity-error.ts';

export interface EcrIdentity {
  issue(domain: string, signal: AbortSignal): Promise<IssuedCredentials>;
  /** Creates a repository unless it exists. Rejects with a `CloneError` `BACKUP_…`. */
  createRepository(repository: Repository, signal: AbortSignal): Promise<void>;
}

export interface EcrIdentityOptions {
  /** The SDK honours no proxy by itself. */
  readonly proxies:
    | { readonly https: string; readonly http: string; readonly no: string }
    | undefined;
  /** Milliseconds since 1970, for the time at which a token ends. @default the system's clock */
  readonly wallClock?: () => number;
}

const maxLifetimeMs = 12 * 3_600_000;
/** If the clocks differ by more than a lifetime, requests still do not follow each other at once. */
const minLifetimeMs = 60_000;
const timeouts = { connectionTimeout: 3_000, requestTimeout: 10_000, throwOnRequestTimeout: true };

/** Of the resource, so that administrators find what image-cloner created. */
const resourceTags = [{ Key: 'app.kubernetes.io/managed-by', Value: 'image-cloner' }];

/** Errors of AWS that only an administrator can correct; the values say how. */
const advice: ReadonlyMap<string, string> = new Map([
  [
    'CredentialsProviderError',
    'no AWS identity was found: give the ServiceAccount image-cloner a role (IRSA or EKS Pod Identity)',
  ],
  [
    'AccessDenied',
    "AWS refused sts:AssumeRoleWithWebIdentity: the role's trust policy must name the ServiceAccount image-cloner",
  ],
  [
    'AccessDeniedException',
    'AWS refused ecr:GetAuthorizationToken: allow it in the IAM policy of the role',
  ],
  [
    'ExpiredTokenException',
    'the web identity token of the pod has expired: check that the kubelet renews its projected token',
  ],
  [
    'InvalidIdentityTokenException',
    "AWS does not trust the web identity token of the pod: register the cluster's OIDC provider in IAM",
  ],
  ['UnrecognizedClientException', 'AWS does not know the access key of the identity'],
  ['InvalidSignatureException', 'AWS refused the signature: check the clock and the access key'],
]);

/** Amazon ECR with the default credential chain of the AWS SDK: IRSA, EKS Pod Identity, then the role of the node. */
export function createEcrIdentity({
  proxies,
  wallClock = Date.now,
}: EcrIdentityOptions): EcrIdentity {
  const proxyEnv = proxies && {
    HTTPS_PROXY: proxies.https,
    HTTP_PROXY: proxies.http,
    NO_PROXY: proxies.no,
  };

  /** A client for each call, because the SDK would keep credentials that AWS refused. */
  async function withClient<Result>(
    { region, isFips }: EcrHost,
    work: (client: ECRClient) => Promise<Result>,
  ): Promise<Result> {
    const client = new ECRClient({
      region,
      ...(isFips && { useFipsEndpoint: true }),
      requestHandler: { ...timeouts, httpsAgent: new Agent({ keepAlive: true, proxyEnv }) },
    });
    try {
      return await work(client);
    } finally {
      client.destroy();
    }
  }

  /** The account of the identity, by region. */
  const ownAccounts = new Map<string, string>();

  return {
    async issue(domain, abortSignal) {
      const host = toHost(domain);
      try {
        const { authorizationData: [data] = [] } = await withClient(host, (client) =>
          client.send(new GetAuthorizationTokenCommand({}), { abortSignal }),
        );
        const { authorizationToken = '', expiresAt, proxyEndpoint = '' } = data ?? {};
        const text = Buffer.from(authorizationToken, 'base64').toString();
        const colon = text.indexOf(':');
        if (colon <= 0) throw new Error('the response has no token');
        const credentials = { username: text.slice(0, colon), password: text.slice(colon + 1) };
        const own = parseEcrHost(proxyEndpoint.replace('https://', ''));
        if (own !== undefined) ownAccounts.set(host.region, own.account);
        const remainingMs = (expiresAt?.getTime() ?? 0) - wallClock();
        const lifetimeMs = Math.min(Math.max(remainingMs, minLifetimeMs), maxLifetimeMs);
        return { credentials, lifetimeMs };
      } catch (error) {
        throw toIdentityError(error);
      }
    },

    async createRepository({ domain, path }, abortSignal) {
      const host = toHost(domain);
      const command = new CreateRepositoryCommand({
        registryId: host.account,
        repositoryName: path,
        imageTagMutability: 'MUTABLE',
        tags: resourceTags,
      });
      try {
        await withClient(host, (client) => client.send(command, { abortSignal }));
      } catch (error) {
        // Another replica was first.
        if (nameOf(error) === 'RepositoryAlreadyExistsException') return;
        throw toCreationError(
          error,
          { domain, path },
          { ...host, own: ownAccounts.get(host.region) },
        );
      }
    },
  };
}

function toHost(domain: string): EcrHost {
  const host = parseEcrHost(domain);
  if (host === undefined) throw new Error(`${domain} is no host of Amazon ECR`);
  return host;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function toIdentityError(error: unknown): IdentityError {
  const name = nameOf(error);
  const known = advice.get(name) ?? advice.get(`${name}Exception`);
  if (known !== undefined) {
    return new IdentityError(`${known} (${name})`, { isTransient: false, cause: error });
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const detail = toSafeText(typeof code === 'string' ? code : name, 60);
  const message = `AWS gave no answer for Amazon ECR (${detail})`;
  return new IdentityError(message, { isTransient: true, cause: error });
}

function toCreationError(
  error: unknown,
  { domain, path }: Repository,
  { account, region, own = account }: EcrHost & { readonly own: string | undefined },
): CloneError {
  const name = nameOf(error);
  const missing = `the backup registry ${domain} has no repository ${path}`;
  const { cause } = toIdentityError(error);
  switch (name) {
    case 'AccessDeniedException':
      return new CloneError(
        'BACKUP_DENIED',
        own === account
          ? `${missing}, and the identity may not create it: allow ecr:CreateRepository and ecr:TagResource, or create it`
          : `${missing}, and the identity of account ${own} may not create it in account ${account}: set REGISTRY to a registry of account ${own}, or create it`,
        { cause },
      );
    case 'InvalidParameterException':
      return new CloneError(
        'BACKUP_REFUSED',
        `${missing}, and Amazon ECR does not accept that name: use NAMING=nested, or list the image in IGNORE_IMAGES`,
        { cause },
      );
    case 'LimitExceededException':
      return new CloneError(
        'BACKUP_REFUSED',
        `${missing}, and account ${account} may have no more repositories in ${region}: raise the quota of Amazon ECR`,
        { cause },
      );
    default: {
      const { message, isTransient } = toIdentityError(error);
      const code = isTransient ? 'BACKUP_UNAVAILABLE' : 'BACKUP_DENIED';
      return new CloneError(code, `${missing}, and it cannot be created: ${message}`, {
        cause,
        isTransient,
      });
    }
  }
}
