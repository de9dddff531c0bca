import { GoogleAuth } from 'google-auth-library';
import type { IssuedCredentials } from './credential-cache.ts';
import { IdentityError, toSafeText } from './identity-error.ts';

const scopes = ['https://www.googleapis.com/auth/cloud-platform'];
const defaultLifetimeMs = 300_000;

/**
 * Google's application default credentials: Workload Identity through the metadata server, or a federation file. One token opens
 * every registry of Google.
 */
export async function issueGarCredentials(): Promise<IssuedCredentials> {
  try {
    // Anew, because the library would keep a token that the registry refused.
    const client = await new GoogleAuth({ scopes }).getClient();
    const { token } = await client.getAccessToken();
    if (typeof token !== 'string' || token === '') throw new Error('the response has no token');
    const endsAt = client.credentials.expiry_date;
    return {
      credentials: { username: 'oauth2accesstoken', password: token },
      // The library computes it with the clock of this machine.
      lifetimeMs: typeof endsAt === 'number' ? Math.max(0, endsAt - Date.now()) : defaultLifetimeMs,
    };
  } catch (error) {
    throw toIdentityError(error);
  }
}

function toIdentityError(error: unknown): IdentityError {
  const message = error instanceof Error ? error.message : '';
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  if (/default credentials/i.test(message)) {
    return new IdentityError(
      'no Google identity was found: give the ServiceAccount image-cloner one (Workload Identity Federation for GKE)',
      { isTransient: false, cause: error },
    );
  }
  if (status === 403 || status === 404) {
    return new IdentityError(
      `the metadata server refused a token (${status}): bind the ServiceAccount image-cloner to the Google identity (roles/iam.workloadIdentityUser)`,
      { isTransient: false, cause: error },
    );
  }
  const detail = typeof status === 'number' ? `status ${status}` : toSafeText(message, 60);
  return new IdentityError(`Google gave no token (${detail})`, { isTransient: true, cause: error });
}
