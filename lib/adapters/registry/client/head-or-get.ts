import { RegistryError } from '../errors/index.ts';
import type { RepositoryClient } from './repository-client.ts';

/** Some registries refuse a HEAD where they allow a GET. */
export async function headOrGet(
  client: RepositoryClient,
  reference: string,
  signal: AbortSignal,
): ReturnType<RepositoryClient['headManifest']> {
  try {
    return await client.headManifest(reference, signal);
  } catch (error) {
    const isRefused = error instanceof RegistryError && [401, 403, 405].includes(error.status ?? 0);
    if (!isRefused) throw error;
    return await client.digestManifest(reference, signal);
  }
}
