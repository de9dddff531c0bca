import { type Refusal, refusal } from './policy-faults.ts';

const denied = 'requested access to the resource is denied';

/** Responses of vendors' registries, in their words. */
export const vendorErrors = {
  distribution: {
    digest: refusal(400, {
      code: 'DIGEST_INVALID',
      message: 'provided digest did not match uploaded content',
    }),
    url: () =>
      Response.json(
        {
          errors: [
            { code: 'UNKNOWN', message: 'unknown error', detail: 'invalid URL on layer' },
            { code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown to registry' },
          ],
        },
        { status: 500 },
      ),
  },
  quay: {
    name: refusal(400, { code: 'NAME_INVALID', message: 'invalid repository name' }),
    mount: refusal(400, { code: 'INVALID_REQUEST', message: 'Invalid request' }),
    repository: refusal(
      401,
      {
        code: 'UNAUTHORIZED',
        message: 'access to the requested resource is not authorized',
        detail: {},
      },
      ({ url, repository }) => ({
        'www-authenticate': `Bearer realm="${url.origin}/token",service="memory-registry",scope="repository:${repository}:pull"`,
      }),
    ),
  },
  harbor: {
    repository: refusal(
      401,
      ({ repository }) => ({
        code: 'UNAUTHORIZED',
        message: `project ${repository.split('/')[0]} not found`,
      }),
      () => ({ 'www-authenticate': '' }),
    ),
    tag: refusal(412, ({ repository, reference }) => ({
      code: 'PRECONDITION',
      message: `Failed to process request due to '${repository.split('/').slice(1).join('/')}:${reference}' configured as immutable.`,
    })),
    quota: refusal(403, {
      code: 'DENIED',
      message:
        'adding 2.1 MiB of storage resource, which when updated to current usage of 8.3 MiB will exceed the configured upper limit of 10.0 MiB.',
    }),
    policy: refusal(412, {
      code: 'PROJECTPOLICYVIOLATION',
      message:
        'current image with 12 vulnerabilities cannot be pulled due to configured policy in \'Prevent images with vulnerability severity of "Critical" or higher from running.\'',
    }),
  },
  ghcr: {
    repository: refusal(403, { code: 'DENIED', message: denied }),
    token: refusal(403, { code: 'DENIED', message: 'denied' }),
  },
  ecr: {
    name: refusal(400, {
      code: 'NAME_INVALID',
      message:
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''",
    }),
    repository: refusal(404, ({ repository }) => ({
      code: 'NAME_UNKNOWN',
      message: `The repository with name '${repository}' does not exist in the registry with id '123456789012'`,
    })),
    tag: refusal(400, ({ repository, reference }) => ({
      code: 'TAG_INVALID',
      message: `The image tag '${reference}' already exists in the '${repository}' repository and cannot be overwritten because the repository is immutable.`,
    })),
    upload: refusal(404, { code: 'BLOB_UPLOAD_UNKNOWN', message: 'upload unknown' }),
  },
  nexus: {
    tag: refusal(400, {
      code: 'BLOB_UPLOAD_INVALID',
      message: 'blob upload invalid',
      detail: 'Repository does not allow updating assets: docker-hosted',
    }),
  },
  gitea: { name: refusal(400, { code: 'NAME_INVALID', message: '' }) },
  zot: { tag: refusal(403, { code: 'DENIED', message: denied }) },
  gar: {
    name: refusal(400, {
      code: 'NAME_INVALID',
      message:
        'Missing image name. Pushes should be of the form docker push HOST-NAME/PROJECT-ID/REPOSITORY/IMAGE',
    }),
    repository: refusal(404, ({ repository }) => ({
      code: 'NAME_UNKNOWN',
      message: `Repository "${repository.split('/')[1]}" not found`,
    })),
    tag: refusal(400, ({ reference }) => ({
      code: 'MANIFEST_INVALID',
      message: `cannot update tag ${reference}. The repository has enabled tag immutability`,
    })),
    chunk: refusal(405, { code: 'UNSUPPORTED', message: 'The operation is unsupported.' }),
  },
  acr: {
    tag: refusal(405, {
      code: 'REGISTRY_DISALLOWED_OPERATION',
      message: 'The operation is disallowed on this registry, repository or image.',
      detail: {},
    }),
  },
} as const satisfies Record<string, Readonly<Record<string, Refusal>>>;
