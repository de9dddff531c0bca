import { dockerHub } from '../image/reference.ts';

/** The key of Docker Hub in a docker config. */
const dockerHubKey = 'https://index.docker.io/v1/';

/**
 * Returns the Secret that opens registries to the pods that name it in `imagePullSecrets`. `dockerConfig` is the text of a
 * docker `config.json`.
 */
export function toPullSecret(name: string, dockerConfig: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': dockerConfig },
  };
}

/** Returns the text of a docker `config.json` for one registry. */
export function toDockerConfig(
  domain: string,
  { username, password }: { readonly username: string; readonly password: string },
): string {
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  return JSON.stringify({ auths: { [domain === dockerHub ? dockerHubKey : domain]: { auth } } });
}
