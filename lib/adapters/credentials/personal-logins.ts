import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { dockerHub, type Repository } from '../../image/reference.ts';
import type { Credentials } from '../../ports/index.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createTtlCache } from '../../util/ttl-cache.ts';
import { isHelperName, runCredentialHelper } from './credential-helper.ts';
import { identityTokenUser, parseDockerConfigWithTokens } from './docker-config.ts';
import type { Keyring } from './keyring.ts';

/** The logins of the person at this machine (`docker login`). */
export interface PersonalLogins {
  readonly file: string;
  /** Rejects with an `Error`, fit to be shown, if a credential helper fails. */
  find(image: Repository): Promise<Credentials | undefined>;
}

export interface PersonalLoginsOptions {
  /** `DOCKER_CONFIG`, `HOME`, and the `PATH` of credential helpers. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A monotonic clock. */
  readonly now?: () => number;
}

/** A helper may ask the person, and its token may end while a command runs. */
const ttlMs = 300_000;
const maxEntries = 1_000;

const helpersSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    credsStore: v.optional(v.string(), ''),
    credHelpers: v.optional(v.record(v.string(), v.string()), {}),
  }),
);

/** docker's own keys of Docker Hub, the one that it writes first. */
const hubKeys = ['https://index.docker.io/v1/', 'index.docker.io', dockerHub];

/**
 * Reads `config.json` of docker, as crane, oras and skopeo do; `undefined` if there is none. Rejects with a `ConfigError` if it
 * cannot be used.
 */
export async function openPersonalLogins({
  env,
  now = monotonicClock.now,
}: PersonalLoginsOptions): Promise<PersonalLogins | undefined> {
  const home = env['HOME'] ?? env['USERPROFILE'];
  const dir = env['DOCKER_CONFIG'] || (home && join(home, '.docker'));
  if (!dir) return undefined;
  const file = join(dir, 'config.json');
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw unusable(file, 'it cannot be read');
  });
  if (text === undefined) return undefined;
  const { keyring, credsStore, credHelpers } = parse(file, text);
  const answers = createTtlCache<Credentials | undefined>({
    ttlMs,
    isKept: () => true,
    maxEntries,
    now,
  });

  async function runHelper(name: string, host: string): Promise<Credentials | undefined> {
    const found = await runCredentialHelper({ name, host, env });
    return found?.username === identityTokenUser ? { ...found, isIdentityToken: true } : found;
  }

  return {
    file,
    async find(image) {
      const keys = image.domain === dockerHub ? hubKeys : [image.domain];
      const [key = image.domain] = keys;
      const name = keys.map((each) => credHelpers[each]).find((each) => each) ?? credsStore;
      if (name !== '') {
        const found = await answers.get(key, () => runHelper(name, key));
        if (found !== undefined) return found;
      }
      return keyring.find(image).find(({ password }) => password !== '');
    },
  };
}

function parse(
  file: string,
  text: string,
): { readonly keyring: Keyring } & v.InferOutput<typeof helpersSchema> {
  const helpers = v.safeParse(helpersSchema, text, { abortEarly: true });
  if (!helpers.success) throw unusable(file, 'it is not a docker config.json');
  const { credsStore, credHelpers } = helpers.output;
  const names = [credsStore, ...Object.values(credHelpers)].filter((name) => name !== '');
  if (!names.every(isHelperName)) {
    throw unusable(file, 'the name of a credential helper may have only a-z, 0-9 and -');
  }
  try {
    return { keyring: parseDockerConfigWithTokens(text), credsStore, credHelpers };
  } catch (error) {
    throw unusable(file, error instanceof Error ? error.message : 'it cannot be read');
  }
}

function unusable(file: string, problem: string): ConfigError {
  return new ConfigError([
    `${file} cannot be used: ${problem}; correct it, or set REGISTRY_AUTH_DIR`,
  ]);
}
