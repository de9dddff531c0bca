import * as v from 'valibot';
import type { Credentials } from '../../ports.ts';
import { createKeyring, type Keyring } from './keyring.ts';

const entrySchema = v.object({
  auth: v.nullish(v.string()),
  username: v.nullish(v.string()),
  password: v.nullish(v.string()),
});

const configSchema = v.object({ auths: v.nullish(v.record(v.string(), entrySchema)) });

/**
 * Reads a docker `config.json` (`auths` with `auth` or `username` and `password`), as the kubelet does.
 * Throws an `Error` that does not quote the text: it holds passwords.
 */
export function parseDockerConfig(text: string): Keyring {
  const { auths } = parseConfigText(text);
  return createKeyring(
    Object.entries(auths ?? {}).flatMap(([key, entry]) => {
      const credentials = toCredentials(entry);
      return credentials === undefined ? [] : [{ key, credentials }];
    }),
  );
}

function parseConfigText(text: string): v.InferOutput<typeof configSchema> {
  try {
    return v.parse(configSchema, JSON.parse(text));
  } catch {
    // JSON.parse quotes its input in the message, so it must not become a cause.
    throw new Error('it is not a docker config.json with "auths"');
  }
}

function toCredentials({
  auth,
  username,
  password,
}: v.InferOutput<typeof entrySchema>): Credentials | undefined {
  if (typeof auth === 'string' && auth !== '') {
    const text = Buffer.from(auth, 'base64').toString('utf8').replaceAll(/\0+$/g, '');
    const colon = text.indexOf(':');
    return colon <= 0
      ? undefined
      : { username: text.slice(0, colon), password: text.slice(colon + 1) };
  }
  return typeof username === 'string' && username !== ''
    ? { username, password: password ?? '' }
    : undefined;
}
