import {
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
} from '@azure/core-rest-pipeline';
import { DefaultAzureCredential } from '@azure/identity';
import * as v from 'valibot';
import type { IssuedCredentials } from './credential-cache.ts';
import { IdentityError, toSafeText } from './identity-error.ts';

const audience = 'https://containerregistry.azure.net/.default';
/** The user of a registry's own token. */
const username = '00000000-0000-0000-0000-000000000000';
const timeoutMs = 10_000;
/** The documented lifetime of the token is three hours. */
const defaultLifetimeMs = 3_600_000;

const exchangeSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ refresh_token: v.pipe(v.string(), v.nonEmpty()) }),
);
const claimsSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ iat: v.number(), exp: v.number() }),
);

/** A token of Microsoft Entra, exchanged at the registry for one of its own. */
export async function issueAcrCredentials(
  domain: string,
  signal: AbortSignal,
): Promise<IssuedCredentials> {
  const accessToken = await readEntraToken(signal);
  const { status, text } = await exchange(domain, accessToken, signal);
  if (status !== 200) throw refused(domain, status, text);
  const { success, output } = v.safeParse(exchangeSchema, text);
  if (!success) {
    const message = `${domain} answered the exchange of the token with something else`;
    throw new IdentityError(message, { isTransient: true });
  }
  const { refresh_token: password } = output;
  return { credentials: { username, password }, lifetimeMs: readLifetimeMs(password) };
}

async function readEntraToken(abortSignal: AbortSignal): Promise<string> {
  try {
    // Anew, because the library would keep a token that the registry refused.
    const { token } = await new DefaultAzureCredential().getToken(audience, { abortSignal });
    return token;
  } catch (error) {
    throw toIdentityError(error);
  }
}

async function exchange(
  domain: string,
  accessToken: string,
  abortSignal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const form = { grant_type: 'access_token', service: domain, access_token: accessToken };
  const request = createPipelineRequest({
    url: `https://${domain}/oauth2/exchange`,
    method: 'POST',
    headers: createHttpHeaders({ 'content-type': 'application/x-www-form-urlencoded' }),
    body: new URLSearchParams(form).toString(),
    timeout: timeoutMs,
    abortSignal,
  });
  // Honours proxies, and repeats the request after 429 and 5xx.
  const pipeline = createPipelineFromOptions({ retryOptions: { maxRetries: 2 } });
  try {
    const response = await pipeline.sendRequest(createDefaultHttpClient(), request);
    return { status: response.status, text: response.bodyAsText ?? '' };
  } catch (error) {
    const message = `${domain} cannot be reached to exchange the token`;
    throw new IdentityError(message, { isTransient: true, cause: error });
  }
}

function refused(domain: string, status: number, text: string): IdentityError {
  const cause = new Error(`status ${status}: ${text}`);
  if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
    const message = `${domain} refused the token of Microsoft Entra (${status}): give the identity the role AcrPush (for sources AcrPull) on that registry`;
    return new IdentityError(message, { isTransient: false, cause });
  }
  const message = `${domain} did not exchange the token (status ${status})`;
  return new IdentityError(message, { isTransient: true, cause });
}

function toIdentityError(error: unknown): IdentityError {
  const { name, message } = error instanceof Error ? error : new Error('');
  const [code] = /\bAADSTS\d+/.exec(message) ?? [];
  if (code !== undefined) {
    return new IdentityError(
      `Microsoft Entra refused the identity (${code}): check the client ID, and that its federated credential names the ServiceAccount image-cloner`,
      { isTransient: false, cause: error },
    );
  }
  if (name === 'CredentialUnavailableError' || name === 'AggregateAuthenticationError') {
    return new IdentityError(
      'no Azure identity was found: give the ServiceAccount image-cloner one (Microsoft Entra Workload ID)',
      { isTransient: false, cause: error },
    );
  }
  const detail = toSafeText(name, 60);
  const text = `Microsoft Entra gave no token (${detail})`;
  return new IdentityError(text, { isTransient: true, cause: error });
}

/** From the token's own times, so that the clock of this machine does not matter. */
function readLifetimeMs(token: string): number {
  const [, payload = ''] = token.split('.');
  const text = Buffer.from(payload, 'base64url').toString();
  const { success, output } = v.safeParse(claimsSchema, text, { abortEarly: true });
  return success && output.exp > output.iat ? (output.exp - output.iat) * 1_000 : defaultLifetimeMs;
}
