import { dockerHub } from '../image/reference.ts';

/** A Secret that opens a registry to the pods that name it in `imagePullSecrets`. */
export interface PullSecret {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret';
  readonly metadata: { readonly name: string };
  readonly type: 'kubernetes.io/dockerconfigjson';
  readonly stringData: { readonly '.dockerconfigjson': string };
}

/** The key of Docker Hub in a docker config. */
const dockerHubKey = 'https://index.docker.io/v1/';

/** Returns the pull secret that holds `dockerConfig`, the text of a docker `config.json`. */
export function toPullSecret(name: string, dockerConfig: string): PullSecret {
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
