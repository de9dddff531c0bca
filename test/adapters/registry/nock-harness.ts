import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import nock from 'nock';
import {
  type Authorizer,
  createAuthorizer,
} from '../../../lib/adapters/registry/auth/authorizer.ts';
import {
  createTokenBudget,
  type TokenBudget,
} from '../../../lib/adapters/registry/auth/token-budget.ts';
import {
  createRepositoryClient,
  type RepositoryClient,
} from '../../../lib/adapters/registry/client/repository-client.ts';
import { createHttp } from '../../../lib/adapters/registry/http/http.ts';
import { createTransport, type Send } from '../../../lib/adapters/registry/transport/transport.ts';
import type { Credentials } from '../../../lib/index.ts';
import { createCooldown } from '../../../lib/util/cooldown.ts';

/** Blocks the network in a test file; each test must use all its interceptors. */
export function useNock(): void {
  before(() => {
    if (!nock.isActive()) nock.activate();
    nock.disableNetConnect();
  });
  afterEach(() => {
    const pending = nock.pendingMocks();
    nock.cleanAll();
    assert.deepEqual(pending, []);
  });
  after(() => {
    nock.restore();
  });
}

export interface HarnessOptions {
  readonly registry?: string;
  readonly credentials?: Credentials;
  readonly isConfigured?: boolean;
  readonly tokenBudget?: TokenBudget;
  readonly configuredHosts?: readonly string[];
  readonly insecureRegistries?: readonly string[];
  readonly insideCluster?: boolean;
  readonly maxAttempts?: number;
  readonly maxRetryAfterMs?: number;
}

/** One client of one registry, with a clock that only its sleep and the test advance. */
export interface Harness {
  readonly send: Send;
  readonly client: RepositoryClient;
  readonly pauses: number[];
  readonly answers: string[];
  readonly clock: { now: number };
}

export function openHarness(options: HarnessOptions = {}): Harness {
  const { credentials, isConfigured = false, maxAttempts = 3, maxRetryAfterMs = 5_000 } = options;
  const registry = new URL(options.registry ?? 'https://reg.test');
  const { configuredHosts = [], insecureRegistries = [], insideCluster = true } = options;
  const http = createHttp({ configuredHosts, insecureRegistries, insideCluster });
  const clock = { now: 1_000_000 };
  const now = (): number => clock.now;
  const wallClock = (): number => Date.UTC(2026, 10, 24) + clock.now - 1_000_000;
  const pauses: number[] = [];
  const answers: string[] = [];
  const cooldown = createCooldown({ now, maxMs: 300_000, maxKeys: 10 });
  const tokenBudget = options.tokenBudget ?? createTokenBudget();
  const shared = { http, now, wallClock, cooldown, tokenBudget };
  const targets = new Map<string, Authorizer>();
  const authorizerOfTarget = ({ origin }: URL): Authorizer => {
    const authorizer =
      targets.get(origin) ??
      createAuthorizer({
        ...shared,
        registry: new URL(origin),
        credentials: undefined,
        limitKey: origin,
        isConfigured: false,
        isRedirectTarget: true,
      });
    targets.set(origin, authorizer);
    return authorizer;
  };
  const sleep = (ms: number): Promise<void> => {
    pauses.push(ms);
    clock.now += ms;
    return Promise.resolve();
  };
  const send = createTransport({
    http,
    registry,
    authorizer: createAuthorizer({
      ...shared,
      registry,
      credentials,
      limitKey: 'reg',
      isConfigured,
      isRedirectTarget: false,
    }),
    authorizerOfTarget,
    cooldown,
    clientKey: 'reg',
    maxAttempts,
    maxRetryAfterMs,
    wallClock,
    random: () => 1,
    sleep,
    onResponse: ({ method, url, status }) => answers.push(`${method} ${url.host} ${status}`),
  });
  return {
    send,
    client: createRepositoryClient(send, registry, 'team/app', sleep),
    pauses,
    answers,
    clock,
  };
}

/** The response to a HEAD of a manifest. */
export const served = {
  digest: `sha256:${'a'.repeat(64)}`,
  headers: {
    'docker-content-digest': `sha256:${'a'.repeat(64)}`,
    'content-type': 'application/vnd.oci.image.manifest.v1+json',
  },
} as const;

export const acme: Credentials = { username: 'acme', password: 's"e\\c:r+/é' };
/** `acme:s"e\c:r+/é` in base64. */
export const acmeBasic = 'Basic YWNtZTpzImVcYzpyKy/DqQ==';

export function bearer(realm: string, more = ''): Record<string, string> {
  return { 'www-authenticate': `Bearer realm="${realm}",service="reg"${more}` };
}
