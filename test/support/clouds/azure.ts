import type { CloudRequest, CloudResponse } from './server.ts';

/**
 * Microsoft Entra's token endpoint (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow) and the
 * exchange of a registry (https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md).
 */
export interface FakeAzure {
  readonly answer: (request: CloudRequest) => CloudResponse | undefined;
  /** The forms of the requests for tokens. */
  readonly forms: URLSearchParams[];
  /** Answers instead of the real one, in order, by endpoint. */
  readonly faults: Map<'token' | 'exchange', (CloudResponse | 'silence')[]>;
  refreshToken: string;
}

export const acrDomain = 'acme.azurecr.io';
export const entraHost = 'login.microsoftonline.com';
export const tenant = '11111111-1111-1111-1111-111111111111';

export function createFakeAzure(): FakeAzure {
  const azure: FakeAzure = {
    answer,
    forms: [],
    faults: new Map(),
    refreshToken: toJwt({ iat: 1_000, exp: 1_000 + 3 * 3_600 }),
  };

  function answer(request: CloudRequest): CloudResponse | undefined {
    const { path, body, headers } = request;
    const origin = `https://${String(headers.host)}`;
    if (path === `/${tenant}/oauth2/v2.0/token`) {
      return respond('token', body, {
        token_type: 'Bearer',
        expires_in: 3_599,
        ext_expires_in: 3_599,
        access_token: 'entra-token',
      });
    }
    if (path === '/oauth2/exchange') {
      return respond('exchange', body, { refresh_token: azure.refreshToken });
    }
    if (path.endsWith('/.well-known/openid-configuration')) {
      return json({
        issuer: `${origin}/${tenant}/v2.0`,
        authorization_endpoint: `${origin}/${tenant}/oauth2/v2.0/authorize`,
        token_endpoint: `${origin}/${tenant}/oauth2/v2.0/token`,
        jwks_uri: `${origin}/${tenant}/discovery/v2.0/keys`,
      });
    }
    if (path === '/common/discovery/instance') {
      const hosts = ['login.microsoftonline.com', 'login.windows.net'];
      return json({
        tenant_discovery_endpoint: `${origin}/${tenant}/v2.0/.well-known/openid-configuration`,
        'api-version': '1.1',
        metadata: [{ preferred_network: hosts[0], preferred_cache: hosts[1], aliases: hosts }],
      });
    }
    return { status: 404, body: '{}' };
  }

  function respond(
    endpoint: 'token' | 'exchange',
    body: string,
    response: object,
  ): CloudResponse | undefined {
    azure.forms.push(new URLSearchParams(body));
    const fault = azure.faults.get(endpoint)?.shift();
    return fault === 'silence' ? undefined : (fault ?? json(response));
  }

  return azure;
}

/** A refusal of Microsoft Entra. */
export function entraError(code: string, description: string, status = 400): CloudResponse {
  return json({ error: code, error_description: description, error_codes: [] }, status);
}

/** A token without a signature. */
function toJwt(claims: object): string {
  const encode = (value: object): string =>
    Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode({ alg: 'none' })}.${encode(claims)}.sig`;
}

function json(body: object, status = 200): CloudResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
