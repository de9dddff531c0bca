import type { CloudRequest, CloudResponse } from './server.ts';

/** The metadata server: https://cloud.google.com/compute/docs/metadata/overview */
export interface FakeMetadataServer {
  readonly answer: (request: CloudRequest) => CloudResponse | undefined;
  /** The scopes of each request for a token. */
  readonly scopes: (string | null)[];
  /** Answers instead of tokens, in order. */
  readonly faults: (CloudResponse | 'silence')[];
  token: string;
}

const flavor = { 'metadata-flavor': 'Google' };

export function createFakeMetadataServer(): FakeMetadataServer {
  const server: FakeMetadataServer = { answer, scopes: [], faults: [], token: 'google-token' };
  const base = '/computeMetadata/v1/instance';

  function answer({ path, query, headers }: CloudRequest): CloudResponse | undefined {
    // The server refuses requests that a web page could make.
    if (headers['metadata-flavor'] !== 'Google') return { status: 403, headers: flavor, body: '' };
    if (path === `${base}/service-accounts/default/token`) {
      server.scopes.push(query.get('scopes'));
      const fault = server.faults.shift();
      if (fault === 'silence') return undefined;
      return (
        fault ?? {
          headers: { ...flavor, 'content-type': 'application/json' },
          body: JSON.stringify({
            access_token: server.token,
            expires_in: 3_599,
            token_type: 'Bearer',
          }),
        }
      );
    }
    return { headers: { ...flavor, 'content-type': 'application/text' }, body: 'project' };
  }

  return server;
}
