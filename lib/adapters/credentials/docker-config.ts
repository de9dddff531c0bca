import * as v from 'valibot';
import type { Repository } from '../../image/reference.ts';
import type { Credentials } from '../../ports/index.ts';
import { createKeyring, type Keyring, type KeyringEntry, toEntry } from './keyring.ts';

const optionalText = v.nullish(v.string(), '');

const entrySchema = v.object({
  auth: optionalText,
  username: optionalText,
  password: optionalText,
  identitytoken: v.fallback(optionalText, ''),
});

const entriesSchema = v.record(v.string(), v.nullish(entrySchema, {}));

const configSchema = v.object({
  auths: v.nullish(entriesSchema, {}),
  credsStore: v.fallback(optionalText, ''),
  credHelpers: v.fallback(v.nullish(v.record(v.string(), v.unknown()), {}), {}),
});

const notConfig = 'it is not a docker config.json with "auths"';

/** The username of an identity token in docker's files and in the answers of credential helpers. */
export const identityTokenUser = '<token>';

/**
 * Reads a docker `config.json` (`auths` with `auth` or `username` and `password`), as the kubelet does.
 * Throws an `Error` that does not quote the text: it holds passwords.
 */
export function parseDockerConfig(text: string): Keyring {
  return createKeyring(parseDockerConfigJson(text));
}

/** As `parseDockerConfig`, with identity tokens, which the kubelet ignores. */
export function parseDockerConfigWithTokens(text: string): Keyring {
  return createKeyring(
    toEntries(parseText(configSchema, text, notConfig).auths, withIdentityToken),
  );
}

/** The backup registry, with the path below its host and the namespace as far as they are configured. */
export interface ConfiguredRegistry {
  readonly domain: string;
  readonly path: string;
  readonly namespace?: string;
}

/** Finds the credentials of the backup in a docker `config.json`. Throws as `parseDockerConfig` does. */
export function findRegistryCredentials(
  text: string,
  registry: ConfiguredRegistry,
): Credentials | undefined {
  const [credentials] = parseDockerConfig(text).find(toKeyringRepository(registry));
  return credentials;
}

/** What the keys of a keyring are matched with: a key is a host, or a host with a namespace, as Quay writes it. */
export function toKeyringRepository({
  domain,
  path,
  namespace = '',
}: ConfiguredRegistry): Repository {
  const below = [path, namespace].filter((part) => part !== '').map((part) => `${part}/`);
  return { domain, path: below.join('') };
}

/** The entries of a docker `config.json`, for a keyring of several files. Throws as `parseDockerConfig` does. */
export function parseDockerConfigJson(text: string): readonly KeyringEntry[] {
  return toEntries(parseText(configSchema, text, notConfig).auths);
}

/** One sentence for each part of a docker `config.json` that gives no credentials. Throws as `parseDockerConfig` does. */
export function listUnusedCredentials(text: string): readonly string[] {
  const { auths, credsStore, credHelpers } = parseText(configSchema, text, notConfig);
  const advice = 'which does not run here; put a username and a password into auths';
  return [
    ...(credsStore === '' ? [] : [`credsStore names the program ${credsStore}, ${advice}`]),
    ...Object.keys(credHelpers).map(
      (key) => `credHelpers names a program for ${withoutUserinfo(key)}, ${advice}`,
    ),
    ...Object.entries(auths).flatMap(([key, entry]) => {
      const isUsable = withIdentityToken(entry) !== undefined;
      return isUsable ? [] : [`the entry ${withoutUserinfo(key)} has no username and password`];
    }),
  ];
}

/** A key may be a URL, which can contain a password. */
function withoutUserinfo(key: string): string {
  return key.slice(key.lastIndexOf('@') + 1);
}

/** Reads the `.dockercfg` format: entries without an `auths` object. Throws as `parseDockerConfig` does. */
export function parseDockercfg(text: string): readonly KeyringEntry[] {
  return toEntries(parseText(entriesSchema, text, 'it is not a .dockercfg'));
}

function parseText<const Schema extends v.GenericSchema>(
  schema: Schema,
  text: string,
  problem: string,
): v.InferOutput<Schema> {
  try {
    return v.parse(schema, JSON.parse(text), { abortEarly: true });
  } catch {
    // The message of JSON.parse quotes its input, so it must not become the cause.
    throw new Error(problem);
  }
}

type Entry = v.InferOutput<typeof entrySchema>;

function toEntries(
  entries: v.InferOutput<typeof entriesSchema>,
  read: (entry: Entry) => Credentials | undefined = toCredentials,
): readonly KeyringEntry[] {
  return Object.entries(entries).flatMap(([key, entry]) => {
    const credentials = read(entry);
    return credentials === undefined ? [] : [toEntry(key, credentials)];
  });
}

/** Azure's entries with an identity token have a username, but no password. */
function withIdentityToken(entry: Entry): Credentials | undefined {
  const credentials = toCredentials(entry);
  const { username = identityTokenUser, password = '' } = credentials ?? {};
  const isTokenUser = username === identityTokenUser;
  const token = isTokenUser && password !== '' ? password : entry.identitytoken;
  const isPassword = password !== '' && !isTokenUser;
  if (token === '' || isPassword) return credentials;
  return { username, password: token, isIdentityToken: true };
}

function toCredentials({ auth, username, password }: Entry): Credentials | undefined {
  if (auth === '') return username === '' ? undefined : { username, password };
  const text = trimTrailingZeros(Buffer.from(auth, 'base64').toString('utf8'));
  const colon = text.indexOf(':');
  if (colon <= 0) return undefined;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Not a regular expression: a crafted pull secret makes `/\0+$/` take quadratic time. */
function trimTrailingZeros(text: string): string {
  let end = text.length;
  while (text[end - 1] === '\0') end -= 1;
  return text.slice(0, end);
}
