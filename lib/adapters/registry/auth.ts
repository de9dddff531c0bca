import { Buffer } from 'node:buffer';
import * as v from 'valibot';
import { untilAborted } from '../../cloner/deadline.ts';
import type { Credentials } from '../../ports.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { RegistryError, toRegistryError } from './failure.ts';
import { type Http, type HttpAnswer, headerOf, readBody } from './http.ts';

/** What a request needs to do, in the words of the token protocol: `repository:library/nginx:pull`. */
export type Scope = string;

/** The credentials of one client at one registry: answers its challenges and remembers the answers. */
export interface Authorizer {
  /** Header for a request that needs `scopes`, as far as a challenge was seen before. */
  authorization(scopes: readonly Scope[], signal: AbortSignal): Promise<string | undefined>;
  /** Learns from a 401. Resolves with `false` where trying once more cannot help. */
  learn(answer: HttpAnswer, scopes: readonly Scope[], used: string | undefined): Promise<boolean>;
}

export interface AuthorizerOptions {
  readonly http: Http;
  readonly registry: URL;
  readonly credentials: Credentials | undefined;
  /** Hosts, beside the registry's own site, whose token servers may see the credentials. */
  readonly trustedRealms: readonly string[];
  readonly now: () => number;
  /** The registry is the user's own: its password is sent before it asks, which saves a request each time we start. */
  readonly isConfigured: boolean;
}

interface Token {
  readonly value: string;
  readonly expiresAt: number;
}

/** `expiresAt` is absent while the token is being fetched. */
interface Entry {
  readonly fetched: Promise<Token>;
  expiresAt?: number;
}

type Scheme =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service: string | undefined };

const tokenSchema = v.pipe(
  v.object({
    token: v.optional(v.string()),
    access_token: v.optional(v.string()),
    expires_in: v.optional(v.number()),
  }),
  v.transform(({ token, access_token, expires_in }) => ({
    value: access_token ?? token ?? '',
    seconds: expires_in ?? 60,
  })),
);

const maxTokenBytes = 128 * 1024;
/** The specification's default, and its floor. */
const minTokenSeconds = 60;
/** A token is not begun to be used in the last tenth of its life. */
const usableShare = 0.9;
const maxTokens = 500;
const fetchTimeoutMs = 30_000;
/** What may stand in a header; anything else would split it. */
const headerText = /^[\x21-\x7e]+$/;

/** Answers Basic and Bearer challenges (distribution `spec/auth/token.md`). */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { http, registry, credentials, now } = options;
  const tokens = new Map<string, Entry>();
  let scheme: Scheme = { kind: 'unknown' };

  const basic =
    credentials === undefined
      ? undefined
      : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;

  async function authorization(
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    switch (scheme.kind) {
      case 'unknown':
        return options.isConfigured ? basic : undefined;
      case 'basic':
        return basic;
      case 'bearer':
        return `Bearer ${await tokenFor(scheme, scopes, signal)}`;
    }
  }

  async function learn(
    answer: HttpAnswer,
    scopes: readonly Scope[],
    used: string | undefined,
  ): Promise<boolean> {
    const before = scheme;
    scheme = pickScheme(challengesOf(answer));
    if (scheme.kind === 'unknown') return false;
    if (scheme.kind === 'basic') return basic !== undefined && used !== basic;
    if (before.kind === 'bearer' && used !== undefined) {
      // It may have expired, or have been issued before a permission was: one fresh one, and no more.
      return tokens.delete(keyOf(scopes));
    }
    return true;
  }

  function pickScheme(challenges: readonly Challenge[]): Scheme {
    for (const { scheme: name, parameters } of challenges) {
      const realm = parameters.get('realm');
      if (name === 'bearer' && realm !== undefined) {
        return { kind: 'bearer', realm: toRealm(realm), service: parameters.get('service') };
      }
      if (name === 'basic') return { kind: 'basic' };
    }
    return { kind: 'unknown' };
  }

  /** Relative in practice; plain http only where the registry itself is. */
  function toRealm(text: string): URL {
    const realm = URL.canParse(text, registry) ? new URL(text, registry) : undefined;
    const isPlain = realm?.protocol === 'http:' && registry.protocol === 'http:';
    if (realm === undefined || !(realm.protocol === 'https:' || isPlain) || realm.username !== '') {
      throw new RegistryError('REFUSED', 'authenticating: its token server has no usable address');
    }
    return realm;
  }

  /** One fetch in flight per scope, however many wait for it. */
  async function tokenFor(
    bearer: Extract<Scheme, { kind: 'bearer' }>,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string> {
    const key = keyOf(scopes);
    const known = tokens.get(key);
    if (known !== undefined && (known.expiresAt ?? Number.POSITIVE_INFINITY) > now()) {
      return (await untilAborted(known.fetched, signal)).value;
    }
    // Its own time limit: others wait for it too, and the first who asked may be the first to leave.
    const fetched = fetchToken(bearer, scopes, AbortSignal.timeout(fetchTimeoutMs));
    const entry: Entry = { fetched };
    tokens.delete(key);
    tokens.set(key, entry);
    const [oldest] = tokens.keys();
    if (tokens.size > maxTokens && oldest !== undefined) tokens.delete(oldest);
    fetched.then(
      ({ expiresAt }) => {
        entry.expiresAt = expiresAt;
      },
      () => {
        if (tokens.get(key) === entry) tokens.delete(key);
      },
    );
    return (await untilAborted(fetched, signal)).value;
  }

  async function fetchToken(
    { realm, service }: Extract<Scheme, { kind: 'bearer' }>,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<Token> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const mayKnow = basic !== undefined && isTrusted(realm);
    const step = 'authenticating';
    const answer = await http.send({
      method: 'GET',
      url,
      ...(mayKnow && { headers: { authorization: basic } }),
      signal,
      step,
      sentBy: registry,
    });
    const text = new TextDecoder().decode(await readBody(answer, maxTokenBytes, step));
    if (answer.status !== 200)
      throw toRegistryError(step, answer.status, text, headerOf(answer, 'retry-after'));
    const { value, seconds } = parseToken(text);
    const lifeMs = Math.max(minTokenSeconds, seconds) * 1000;
    return { value, expiresAt: now() + lifeMs * usableShare };
  }

  /** Whoever writes a manifest chooses the registry, and the registry the realm: credentials go to its own site only. */
  function isTrusted(realm: URL): boolean {
    return (
      realm.host === registry.host ||
      isSameSite(realm.hostname, registry.hostname) ||
      options.trustedRealms.includes(realm.hostname)
    );
  }

  return { authorization, learn };
}

function challengesOf(answer: HttpAnswer): readonly Challenge[] {
  const header = answer.headers['www-authenticate'];
  return parseChallenges(header === undefined ? [] : [header].flat());
}

function keyOf(scopes: readonly Scope[]): string {
  return scopes.toSorted().join(' ');
}

/** `auth.example.com` and `example.com` for `registry.example.com`; never for addresses, or for what whole countries share. */
function isSameSite(realm: string, registry: string): boolean {
  if (/^[\d.]+$|^\[/.test(realm) || /^[\d.]+$|^\[/.test(registry)) return false;
  const site = registry.slice(registry.indexOf('.') + 1);
  const isShared = !site.includes('.') || /^(co|com|net|org|gov|edu|ac)\.[a-z]{2}$/.test(site);
  return !isShared && (realm === site || realm.endsWith(`.${site}`));
}

function parseToken(text: string): { readonly value: string; readonly seconds: number } {
  const unreadable = new RegistryError('REFUSED', 'authenticating: its token server sent no token');
  try {
    const token = v.parse(tokenSchema, JSON.parse(text));
    if (!headerText.test(token.value)) throw unreadable;
    return token;
  } catch {
    // Never a cause: it would quote the token.
    throw unreadable;
  }
}
