import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as flushed } from 'node:timers/promises';
import type { ReviewPolicy } from '../lib/admission/policy.ts';
import type { AdmissionReview } from '../lib/admission/review.ts';
import { type Copies, createCopies } from '../lib/cloner/queue/copies.ts';
import {
  type AdmissionHandlerDeps,
  createAdmissionHandler,
} from '../lib/create-admission-handler.ts';
import { CloneError } from '../lib/errors.ts';
import {
  createFakeCloner,
  type FakeCloner,
  type FakeClonerOptions,
} from './support/fake-cloner.ts';
import { createMemoryLog } from './support/memory-log.ts';
import {
  deployment,
  firstImage,
  patchOf,
  policy,
  type ReviewOptions,
  replaced,
  review,
} from './support/reviews.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
/** The digests that a docker daemon pushes for A and B. */
const pushedA = `sha256:f0f0${'a'.repeat(60)}`;
const pushedB = `sha256:f0f0${'b'.repeat(60)}`;

interface Stage {
  readonly cloner: FakeCloner;
  readonly copies: Copies;
  send(options: ReviewOptions, change?: { signal?: AbortSignal }): Promise<AdmissionReview>;
}

type Setting = Partial<Omit<AdmissionHandlerDeps, 'policy'>> &
  FakeClonerOptions & { policy?: Partial<ReviewPolicy> };

/** `nginx:1.27` is A on Docker Hub; the clock does not advance. */
function stage({ keepsDigest = true, policy: change = {}, ...deps }: Setting = {}): Stage {
  const cloner = createFakeCloner({ keepsDigest });
  const copies = createCopies({ now: () => 0 });
  const handler = createAdmissionHandler({
    cloner,
    copies,
    now: () => 0,
    wallClock: () => 0,
    ...deps,
    policy: policy(change),
  });
  cloner.put('nginx:1.27', A);
  return {
    cloner,
    copies,
    send: (options, { signal = new AbortController().signal } = {}) =>
      handler(review(options), { signal, budgetMs: 9_000 }),
  };
}

const web = { object: deployment({ web: 'nginx:1.27' }) };

function patched(image: string, original = 'nginx:1.27'): readonly unknown[] {
  return [
    ...replaced(firstImage, original, image),
    {
      op: 'add',
      path: '/metadata/annotations',
      value: { 'image-cloner/original-images': `{"containers/web":"${original}"}` },
    },
  ];
}

async function settle(): Promise<void> {
  for (let round = 0; round < 5; round += 1) await flushed();
}

for (const keepsDigest of [true, false]) {
  const copyOf = (digest: string): string =>
    keepsDigest ? digest : digest.replace(/:..../, ':f0f0');

  describe(`createAdmissionHandler with a cloner that ${keepsDigest ? 'keeps' : 'changes'} digests`, () => {
    it('copies a missing image, then patches the object', async () => {
      const { cloner, send } = stage({ keepsDigest });

      const answer = await send(web);

      assert.equal(answer.response.allowed, true);
      assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
      assert.deepEqual(answer.response.auditAnnotations, {
        'containers.web': `nginx:1.27 -> acme/nginx:1.27@${copyOf(A)}, copied, 1000 bytes, 0 ms`,
      });
      assert.deepEqual(
        cloner.written,
        keepsDigest
          ? ['acme/nginx:1.27.aaaaaaaaaaaa', 'acme/nginx:1.27']
          : [
              'acme/nginx:1.27.from.aaaaaaaaaaaa',
              'acme/nginx:1.27.f0f0aaaaaaaa',
              'acme/nginx:1.27',
            ],
      );
    });

    it('denies an invalid name at once, and copies nothing for the other images', async () => {
      const { cloner, send } = stage({ keepsDigest });

      const { response } = await send({ object: deployment({ web: 'Nginx', log: 'nginx:1.27' }) });

      assert.equal(response.allowed, false);
      assert.equal(
        response.status?.message,
        'container "web": "Nginx" is not a valid image name: the repository name must be lower case',
      );
      assert.deepEqual([cloner.begun, cloner.resolved], [[], []]);
    });

    it('copies the other images of an object with an invalid name under ON_ERROR=admit', async () => {
      const { send } = stage({ keepsDigest, policy: { onError: 'admit' } });

      const answer = await send({ object: deployment({ web: 'Nginx', log: 'nginx:1.27' }) });

      assert.equal(answer.response.allowed, true);
      assert.match(JSON.stringify(patchOf(answer)), /acme\/nginx:1\.27/);
    });

    it('copies nothing for the second review of an image', async () => {
      const { cloner, send } = stage({ keepsDigest });
      await send(web);

      const answer = await send(web);

      assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
      assert.equal(cloner.begun.length, 1);
    });

    it('copies an image once for all containers that name it', async () => {
      const { cloner, send } = stage({ keepsDigest });

      await send({ object: deployment({ web: 'nginx:1.27', b: 'docker.io/nginx:1.27' }) });

      assert.deepEqual(cloner.begun, [`nginx@${A} -> acme/nginx`]);
    });

    it('writes nothing in a dry run and answers like the real write', async () => {
      const { cloner, send } = stage({ keepsDigest });

      const dry = await send({ ...web, dryRun: true });
      assert.deepEqual(cloner.begun, []);
      const real = await send(web);

      assert.deepEqual(patchOf(dry), patched('acme/nginx:1.27'));
      assert.deepEqual(patchOf(real), patchOf(dry));
      assert.deepEqual(dry.response.warnings, real.response.warnings);
    });

    it('falls back to the backup with a warning when the source answers 404', async () => {
      const { cloner, send } = stage({ keepsDigest });
      await send(web);
      cloner.remove('nginx');

      const answer = await send(web);

      assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
      assert.deepEqual(answer.response.warnings, [
        'using the backup of nginx:1.27: nginx:1.27 does not exist on docker.io',
      ]);
    });

    for (const code of ['SOURCE_DENIED', 'SOURCE_RATE_LIMITED', 'SOURCE_UNAVAILABLE'] as const) {
      it(`falls back to the backup after ${code}`, async () => {
        const { cloner, send } = stage({ keepsDigest });
        await send(web);
        cloner.fail('nginx:1.27', new CloneError(code, 'docker.io did not like it'));

        const answer = await send(web);

        assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
        assert.deepEqual(answer.response.warnings, [
          'using the backup of nginx:1.27: docker.io did not like it',
        ]);
      });
    }

    it('keeps the old image under a generation tag when the source tag moves', async () => {
      const { cloner, send } = stage({ keepsDigest });
      await send(web);
      cloner.put('nginx:1.27', B);

      await send(web);

      const tags = cloner.tags('acme/nginx');
      assert.equal(tags['1.27'], copyOf(B));
      assert.equal(tags[keepsDigest ? '1.27.aaaaaaaaaaaa' : '1.27.f0f0aaaaaaaa'], copyOf(A));
    });

    it('keeps an image without a tag under a tag made of its digest', async () => {
      const { cloner, send } = stage({ keepsDigest });

      const answer = await send({ object: deployment({ web: `nginx@${A}` }) });

      const tag = `sha256.${'a'.repeat(64)}`;
      assert.deepEqual(patchOf(answer), patched(`acme/nginx:${tag}@${copyOf(A)}`, `nginx@${A}`));
      assert.equal(cloner.tags('acme/nginx')[tag], copyOf(A));
    });

    it('writes the plain tag for a pinned image that the source tag names', async () => {
      const { cloner, send } = stage({ keepsDigest });

      const answer = await send({ object: deployment({ web: `nginx:1.27@${A}` }) });

      assert.deepEqual(patchOf(answer), patched(`acme/nginx:1.27@${copyOf(A)}`, `nginx:1.27@${A}`));
      assert.equal(cloner.tags('acme/nginx')['1.27'], copyOf(A));
    });

    it('does not write the plain tag for a pinned image that the source tag does not name', async () => {
      const { cloner, send } = stage({ keepsDigest });
      cloner.put('nginx:1.27', B);

      const answer = await send({ object: deployment({ web: `nginx:1.27@${A}` }) });

      assert.deepEqual(patchOf(answer), patched(`acme/nginx:1.27@${copyOf(A)}`, `nginx:1.27@${A}`));
      assert.equal(cloner.tags('acme/nginx')['1.27'], undefined);
    });

    it('falls back to the generation of a pinned image after the tag moved and the source is gone', async () => {
      const { cloner, send } = stage({ keepsDigest });
      const pinned = { object: deployment({ web: `nginx:1.27@${A}` }) };
      await send(pinned);
      cloner.put('nginx:1.27', B);
      await send(web);
      cloner.remove('nginx');

      const answer = await send(pinned);

      assert.deepEqual(patchOf(answer), patched(`acme/nginx:1.27@${copyOf(A)}`, `nginx:1.27@${A}`));
      assert.equal(cloner.tags('acme/nginx')['1.27'], copyOf(B));
    });

    it('patches every digest with PIN_DIGESTS=true', async () => {
      const { send } = stage({ keepsDigest, pinDigests: true });

      assert.deepEqual(patchOf(await send(web)), patched(`acme/nginx:1.27@${copyOf(A)}`));
      assert.deepEqual(patchOf(await send(web)), patched(`acme/nginx:1.27@${copyOf(A)}`));
    });
  });
}

describe('createAdmissionHandler', () => {
  it('denies an image that is gone and has no backup', async () => {
    const { send } = stage();

    const { response } = await send({ object: deployment({ web: 'nginx:9.99' }) });

    assert.deepEqual(response.status, {
      code: 403,
      reason: 'Forbidden',
      message: 'container "web": nginx:9.99 does not exist on docker.io',
    });
  });

  it('denies and names image and backup registry when the backup registry is down', async () => {
    const { cloner, send } = stage({
      policy: { backup: { domain: 'registry.corp', namespace: 'acme', naming: 'flat' } },
    });
    const message = 'the backup registry registry.corp does not answer';
    cloner.fail('registry.corp', new CloneError('BACKUP_UNAVAILABLE', message));

    const { response } = await send(web);

    assert.equal(response.status?.code, 403);
    assert.equal(response.status?.message, `container "web": nginx:1.27: ${message}`);
  });

  it('admits the object unchanged under ON_ERROR=admit when the backup registry refuses', async () => {
    const { cloner, send } = stage({
      policy: {
        onError: 'admit',
        backup: { domain: 'registry.corp', namespace: 'acme', naming: 'flat' },
      },
    });
    cloner.fail('registry.corp', new CloneError('BACKUP_DENIED', 'registry.corp refuses us'));

    const answer = await send(web);

    assert.equal(answer.response.allowed, true);
    assert.equal(patchOf(answer), undefined);
    assert.deepEqual(answer.response.warnings, [
      'not backed up: registry.corp refuses us (nginx:1.27, container "web")',
    ]);
  });

  it('logs the refusal of an image that is admitted under ON_ERROR=admit', async () => {
    const { logger, lines } = createMemoryLog();
    const { send } = stage({ policy: { onError: 'admit' }, logger });

    await send({ object: deployment({ web: 'Nginx' }) });

    const [answered] = lines.filter(({ message }) => message === 'review answered');
    assert.equal(
      answered?.fields['refused'],
      'container "web": "Nginx" is not a valid image name: the repository name must be lower case',
    );
  });

  const notOurs =
    'container "web": nginx:1.27: acme/nginx:1.27 exists in the backup and was not written by image-cloner: give the backups a namespace of their own (REGISTRY_NAMESPACE) or set ADOPT_EXISTING=true';

  for (const dryRun of [false, true]) {
    it(`neither overwrites nor uses a foreign tag of the backup${dryRun ? ' in a dry run' : ''}`, async () => {
      const { cloner, send } = stage();
      cloner.put('acme/nginx:1.27', B);

      const { response } = await send({ ...web, dryRun });

      assert.equal(response.status?.message, notOurs);
      assert.deepEqual(cloner.tags('acme/nginx'), { '1.27': B });
    });
  }

  it('does not fall back to a foreign tag of the backup', async () => {
    const { cloner, send } = stage();
    cloner.put('acme/nginx:1.27', B);
    cloner.remove('nginx');

    const { response } = await send(web);

    assert.equal(
      response.status?.message,
      'container "web": nginx:1.27 does not exist on docker.io; acme/nginx:1.27 in the backup was not written by image-cloner: not used',
    );
  });

  it('ignores a generation tag whose digest does not match its name', async () => {
    const { cloner, send } = stage();
    cloner.put('acme/nginx:1.27', B);
    cloner.put('acme/nginx:1.27.bbbbbbbbbbbb', A);

    assert.equal((await send(web)).response.status?.message, notOurs);
  });

  it('adopts a foreign tag that has the digest of the source', async () => {
    const { cloner, send } = stage();
    cloner.put('acme/nginx:1.27', A);

    const answer = await send(web);

    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
    assert.deepEqual(cloner.written, ['acme/nginx:1.27.aaaaaaaaaaaa']);
  });

  it('keeps an adopted image under a generation tag', async () => {
    const { cloner, send } = stage({ adoptExisting: true });
    cloner.put('acme/nginx:1.27', B);

    const answer = await send(web);

    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
    assert.deepEqual(cloner.written, [
      'acme/nginx:1.27.bbbbbbbbbbbb',
      'acme/nginx:1.27.aaaaaaaaaaaa',
      'acme/nginx:1.27.moved.19700101t000000z.bbbbbbbbbbbb',
      'acme/nginx:1.27',
    ]);
    assert.equal(cloner.tags('acme/nginx')['1.27.bbbbbbbbbbbb'], B);
  });

  it('denies an image rather than lose a generation that the docker daemon cannot keep', async () => {
    const { cloner, send } = stage({ keepsDigest: false, adoptExisting: true });
    cloner.put('acme/nginx:1.27', B);

    const { response } = await send(web);

    assert.equal(response.allowed, false);
    assert.match(response.status?.message ?? '', /acme\/nginx:1\.27 in the backup cannot be kept/);
    assert.equal(cloner.tags('acme/nginx')['1.27'], B);
  });

  it('adopts a foreign tag if the docker daemon pushes the same digest again', async () => {
    const { cloner, send } = stage({ keepsDigest: false, adoptExisting: true });
    cloner.put('acme/nginx:1.27', pushedB);

    const answer = await send(web);

    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
    assert.equal(cloner.tags('acme/nginx')['1.27.f0f0bbbbbbbb'], pushedB);
    assert.equal(cloner.tags('acme/nginx')['1.27'], pushedA);
  });

  it('does not fall back to another digest for an image without a tag', async () => {
    const { cloner, send } = stage();
    const tag = `sha256.${'a'.repeat(64)}`;
    // The publisher of nginx can give B a tag that looks like the digest of A.
    cloner.put(`nginx:${tag}`, B);
    await send({ object: deployment({ web: `nginx:${tag}` }) });
    cloner.remove('nginx');

    const { response } = await send({ object: deployment({ web: `nginx@${A}` }) });

    assert.equal(response.allowed, false);
  });

  it('does not overwrite a generation with a source tag of that name', async () => {
    const { cloner, send } = stage({ adoptExisting: true });
    await send(web);
    cloner.put('nginx:1.27.aaaaaaaaaaaa', B);

    const { response } = await send({ object: deployment({ web: 'nginx:1.27.aaaaaaaaaaaa' }) });

    assert.equal(response.allowed, false);
    assert.equal(cloner.tags('acme/nginx')['1.27.aaaaaaaaaaaa'], A);
  });

  it('warns if a dry run cannot know the digest of the copy', async () => {
    const { send } = stage({ keepsDigest: false });

    const answer = await send({ object: deployment({ web: `nginx:1.27@${A}` }), dryRun: true });

    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27', `nginx:1.27@${A}`));
    assert.deepEqual(answer.response.warnings, [
      "dry run: the copy's digest is not known yet: nginx:1.27",
    ]);
  });

  it('sends no registry request if no image needs a copy', async () => {
    const { cloner, send } = stage();
    const oldObject = deployment({ web: 'acme/nginx:1.27' });

    await send({ object: deployment({ web: 'acme/nginx:1.27' }) });
    await send({ ...web, oldObject: web.object });
    await send({ ...web, oldObject });
    await send({ operation: 'DELETE', oldObject });

    assert.deepEqual(cloner.resolved, []);
  });

  it('copies nothing for an object with a registry that SOURCE_REGISTRIES does not list', async () => {
    const { cloner, send } = stage({ policy: { sourceRegistries: ['docker.io'] } });

    await send({ object: deployment({ web: 'nginx:1.27', log: 'quay.io/x/y' }) });

    assert.deepEqual(cloner.resolved, []);
  });

  it('copies the other images of a denied object', async () => {
    const { cloner, send } = stage();

    const { response } = await send({ object: deployment({ web: 'nginx:1.27', log: 'gone:1' }) });

    assert.equal(response.status?.message, 'container "log": gone:1 does not exist on docker.io');
    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
  });

  it('rejects a body that is no AdmissionReview', async () => {
    const { cloner, copies } = stage();
    const handler = createAdmissionHandler({ cloner, copies, policy: policy() });

    await assert.rejects(handler({}, { signal: new AbortController().signal, budgetMs: 1 }), {
      name: 'CloneError',
      code: 'INVALID_REVIEW',
    });
  });

  it('rejects with an unexpected error of the cloner instead of reporting an outage', async () => {
    const { cloner } = stage();
    const broken = { ...cloner, resolve: () => Promise.reject(new TypeError('bug')) };
    const handler = createAdmissionHandler({ cloner: broken, policy: policy() });

    await assert.rejects(
      handler(review(web), { signal: new AbortController().signal, budgetMs: 1_000 }),
      { name: 'TypeError', message: 'bug' },
    );
  });
});

describe('createAdmissionHandler naming the image as written', () => {
  const backup = { domain: 'registry.corp', namespace: 'acme', naming: 'flat' } as const;
  const failures = [
    ['BACKUP_UNAVAILABLE', 'the backup registry registry.corp does not answer'],
    ['BACKUP_DENIED', 'the backup registry registry.corp refuses the credentials in registry-auth'],
    ['CLONER_UNAVAILABLE', 'the docker daemon at /var/run/docker.sock does not answer'],
  ] as const;
  const isBackup = (code: string): boolean => code.startsWith('BACKUP_');
  for (const [code, message] of failures) {
    it(`names the image as written in a denial for ${code}`, async () => {
      const { cloner, send } = stage({ policy: { backup } });
      cloner.fail('registry.corp', new CloneError(code, message));

      const { response } = await send({ object: deployment({ web: 'docker.io/library/nginx:9' }) });

      assert.equal(
        response.status?.message,
        `container "web": docker.io/library/nginx:9: ${message}${isBackup(code) ? '; and nginx:9 does not exist on docker.io' : ''}`,
      );
    });

    it(`names the image as written in a warning for ${code}`, async () => {
      const { cloner, send } = stage({ policy: { backup, onError: 'admit' } });
      cloner.fail('registry.corp', new CloneError(code, message));

      const { response } = await send({ object: deployment({ web: 'docker.io/library/nginx:9' }) });

      const [warning = ''] = response.warnings ?? [];
      assert.equal(response.allowed, true);
      assert.ok(warning.length <= 120, warning);
      assert.match(warning, /^not backed up: the (backup registry|docker daemon) /);
      assert.match(warning, /library\/nginx:9(, container "web")?\)$/);
    });
  }

  it('names both spellings of an image that is gone in a denial', async () => {
    const { send } = stage();

    const { response } = await send({
      object: deployment({ web: 'docker.io/library/nginx:9', side: 'nginx:9', last: 'nginx:9' }),
    });

    assert.equal(
      response.status?.message,
      'container "web": docker.io/library/nginx:9: nginx:9 does not exist on docker.io; container "side", container "last": nginx:9 does not exist on docker.io',
    );
  });

  it('names a forbidden image as written in a denial', async () => {
    const { send } = stage({ policy: { sourceRegistries: ['quay.io'] } });

    const { response } = await send({ object: deployment({ web: 'index.docker.io/nginx:9' }) });

    assert.equal(
      response.status?.message,
      'container "web": index.docker.io/nginx:9 may not be used: SOURCE_REGISTRIES does not list docker.io',
    );
  });
});

describe('createAdmissionHandler with digests of the same prefix', () => {
  it('does not overwrite the generation of a digest with the same prefix', async () => {
    const { cloner, send } = stage();
    await send(web);
    cloner.put('nginx:1.27', `sha256:${'a'.repeat(20)}${'c'.repeat(44)}`);

    const { response } = await send(web);

    assert.equal(response.allowed, false);
    assert.match(response.status?.message ?? '', /has the same first digits/);
    assert.deepEqual(cloner.tags('acme/nginx'), { '1.27.aaaaaaaaaaaa': A, '1.27': A });
  });
});

describe('createAdmissionHandler when the copy takes longer', () => {
  const progress = { phase: 'pull', doneBytes: 112 * 2 ** 20, totalBytes: 260 * 2 ** 20 } as const;
  const stillCopying = 'container "web": still copying nginx:1.27: 43 %, 112 of 260 MiB pulled';

  it('reports the progress at the deadline and uses the finished copy in the next review', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, copies, send } = stage();
    const release = cloner.pauseCopies(progress);

    const answering = send(web);
    await settle();
    t.mock.timers.tick(9_000);
    const { response } = await answering;
    release();
    await copies.idle();
    const next = await send(web);

    assert.equal(response.allowed, false);
    assert.equal(response.status?.code, 504);
    assert.equal(response.status?.reason, 'Timeout');
    assert.equal(response.status?.message, stillCopying);
    const seconds = response.status?.details?.retryAfterSeconds ?? 0;
    assert(seconds >= 1 && seconds <= 10, `${seconds} s`);
    assert.deepEqual(patchOf(next), patched('acme/nginx:1.27'));
    assert.equal(cloner.begun.length, 1);
  });

  it('joins the running copy of another review', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, send } = stage();
    const release = cloner.pauseCopies(progress);
    const first = send(web);
    await settle();
    t.mock.timers.tick(9_000);
    await first;

    const second = send(web);
    await settle();
    release();

    assert.deepEqual(patchOf(await second), patched('acme/nginx:1.27'));
    assert.equal(cloner.begun.length, 1);
  });

  it('makes one copy for 20 concurrent reviews', async () => {
    const { cloner, send } = stage();
    const release = cloner.pauseCopies();

    const answers = Array.from({ length: 20 }, () => send(web));
    await settle();
    release();

    for (const answer of await Promise.all(answers)) {
      assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
    }
    assert.equal(cloner.begun.length, 1);
  });

  it('moves the tag for a review that arrives while the same digest is copied', async () => {
    const { cloner, send } = stage();
    await send(web);
    cloner.put('nginx:1.27', B);
    const release = cloner.pauseCopies();

    const pinned = send({ object: deployment({ web: `nginx:1.27@${B}` }) });
    await settle();
    const tagged = send(web);
    await settle();
    release();
    await pinned;

    assert.deepEqual(patchOf(await tagged), patched('acme/nginx:1.27'));
    assert.equal(cloner.tags('acme/nginx')['1.27'], B);
  });

  it('continues the copy when the API server closes the connection', async () => {
    const { cloner, copies, send } = stage();
    const release = cloner.pauseCopies();
    const caller = new AbortController();

    const answering = send(web, { signal: caller.signal });
    await settle();
    caller.abort();
    await answering;
    release();
    await copies.idle();

    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
  });

  it('answers controllers of the cluster within a second while a copy runs', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, copies, send } = stage();
    const release = cloner.pauseCopies(progress);

    const answering = send({ ...web, username: 'system:kube-controller-manager' });
    await settle();
    t.mock.timers.tick(800);
    await settle();
    t.mock.timers.tick(200);
    const { response } = await answering;
    release();
    await copies.idle();

    assert.equal(response.status?.code, 403);
    assert.equal(response.status?.message, stillCopying);
    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
  });

  it('admits an image that is still copied under ON_DEADLINE=admit and continues the copy', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, copies, send } = stage({ policy: { onDeadline: 'admit' } });
    const release = cloner.pauseCopies(progress);

    const answering = send(web);
    await settle();
    t.mock.timers.tick(9_000);
    const answer = await answering;
    release();
    await copies.idle();

    assert.equal(answer.response.allowed, true);
    assert.equal(patchOf(answer), undefined);
    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
  });

  it('answers at once for a clone-only object and continues the copy', async () => {
    const { cloner, copies, send } = stage();
    const release = cloner.pauseCopies();
    const ownerReferences = [{ apiVersion: 'cnpg.io/v1', kind: 'Cluster', controller: true }];
    const caller = new AbortController();

    const object = deployment({ web: 'nginx:1.27' }, { ownerReferences });
    const answer = await send({ object }, { signal: caller.signal });
    caller.abort();
    await settle();
    release();
    await copies.idle();

    assert.equal(answer.response.allowed, true);
    assert.equal(patchOf(answer), undefined);
    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
  });

  it('waits at most two seconds for a source that does not answer if a backup exists', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner } = stage();
    const silent = Promise.withResolvers<never>().promise;
    const handler = createAdmissionHandler({
      cloner: {
        ...cloner,
        resolve: (image, access, signal) =>
          access.side === 'source' ? silent : cloner.resolve(image, access, signal),
      },
      policy: policy(),
      now: () => 0,
    });
    cloner.put('acme/nginx:1.27', A);
    cloner.put('acme/nginx:1.27.aaaaaaaaaaaa', A);

    const answering = handler(review(web), {
      signal: new AbortController().signal,
      budgetMs: 9_000,
    });
    await settle();
    t.mock.timers.tick(2_000);
    const answer = await answering;

    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
    assert.deepEqual(answer.response.warnings, [
      'using the backup of nginx:1.27: docker.io did not say within 2 s whether nginx:1.27 exists',
    ]);
  });

  it('falls back after one second when the backup does not list its tags', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner } = stage();
    cloner.put('acme/nginx:1.27', A);
    cloner.put('acme/nginx:1.27.aaaaaaaaaaaa', A);
    const silent = Promise.withResolvers<never>().promise;
    const handler = createAdmissionHandler({
      cloner: { ...cloner, listTags: () => silent },
      policy: policy(),
      now: () => 0,
    });

    const answering = handler(review(web), {
      signal: new AbortController().signal,
      budgetMs: 9_000,
    });
    await settle();
    t.mock.timers.tick(1_000);
    const answer = await answering;

    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
  });

  it('waits one second for the signatures of a copied image', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner } = stage();
    cloner.put('nginx:1.27', A);
    const silent = Promise.withResolvers<never>().promise;
    const handler = createAdmissionHandler({
      cloner: { ...cloner, findReferrers: () => silent },
      policy: policy(),
      now: () => 0,
    });
    let isAnswered = false;

    const answering = handler(review(web), {
      signal: new AbortController().signal,
      budgetMs: 9_000,
    }).finally(() => {
      isAnswered = true;
    });
    await settle();
    t.mock.timers.tick(999);
    await settle();
    const before = isAnswered;
    t.mock.timers.tick(1);
    const answer = await answering;

    assert.equal(before, false);
    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
  });

  it('asks the source at once, and once, when the backup does not answer', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner } = stage();
    cloner.put('nginx:1.27', A);
    let time = 0;
    const silent = Promise.withResolvers<never>().promise;
    const handler = createAdmissionHandler({
      cloner: {
        ...cloner,
        resolve: (image, access, signal) =>
          access.side === 'backup' ? silent : cloner.resolve(image, access, signal),
      },
      policy: policy(),
      now: () => time,
    });
    const pass = async (ms: number): Promise<void> => {
      await settle();
      time += ms;
      t.mock.timers.tick(ms);
    };

    const answering = handler(review(web), {
      signal: new AbortController().signal,
      budgetMs: 9_000,
    });
    await settle();
    const early = [...cloner.resolved];
    await pass(6_750);
    await pass(2_250);
    await pass(1);
    const answer = await answering;

    assert.deepEqual(early, ['docker.io/library/nginx:1.27']);
    assert.deepEqual(cloner.resolved, early);
    assert.equal(
      answer.response.status?.message,
      'container "web": nginx:1.27: the backup registry docker.io did not answer in time',
    );
  });
});

describe('createAdmissionHandler with a copy queue', () => {
  const images = (...names: readonly string[]): ReviewOptions => ({
    object: deployment(Object.fromEntries(names.map((name) => [name, `${name}:1`]))),
  });

  function stageQueue({ maxWaiting = 1_000 } = {}): Stage {
    const copies = createCopies({ maxCopies: 1, maxWaiting, now: () => 0 });
    const staged = stage({ copies });
    for (const [index, name] of ['a', 'b', 'c', 'd', 'e'].entries()) {
      staged.cloner.put(`${name}:1`, `sha256:${String(index).repeat(64)}`);
    }
    return { ...staged, copies };
  }

  it('reports the position of an image in the copy queue', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, copies, send } = stageQueue();
    const release = cloner.pauseCopies({ phase: 'copy', doneBytes: 43, totalBytes: 100 });

    const answering = send(images('a', 'b', 'c'));
    await settle();
    t.mock.timers.tick(9_000);
    const { status } = (await answering).response;
    release();
    await copies.idle();

    assert.deepEqual(status, {
      code: 504,
      reason: 'Timeout',
      message:
        'container "a": still copying a:1: 43 %, 1 of 1 KiB; container "b": b:1 waits to be copied: next in the queue; container "c": c:1 waits to be copied: second in the queue, 1 copy before it',
      details: { retryAfterSeconds: 2 },
    });
  });

  it('reports why the wait for a copy ended early and continues the copy', async () => {
    const { cloner, copies, send } = stage();
    const release = cloner.pauseCopies();
    const over = new AbortController();
    const answering = send(web, { signal: over.signal });
    await settle();

    over.abort(new CloneError('LINE_FULL', 'others wait', { retryAfterMs: 2_000 }));

    assert.deepEqual((await answering).response.status, {
      code: 504,
      reason: 'Timeout',
      message: 'container "web": still copying nginx:1.27: started',
      details: { retryAfterSeconds: 2 },
    });
    release();
    await copies.idle();
    const late = await send(web, {
      signal: AbortSignal.abort(new CloneError('LINE_FULL', 'others wait')),
    });
    assert.equal(
      late.response.status?.message,
      'container "web": nginx:1.27 is not copied yet: others wait',
    );
  });

  it('reports a full copy queue and admits a copy of another namespace', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, copies, send } = stageQueue({ maxWaiting: 2 });
    const release = cloner.pauseCopies();
    const first = send({ ...images('a', 'b', 'c'), namespace: 'busy' });
    await settle();

    const full = await send({ ...images('d'), namespace: 'busy' });
    const other = send({ ...images('e'), namespace: 'shop' });
    await settle();
    t.mock.timers.tick(9_000);
    const { response } = await other;
    release();
    await copies.idle();
    await first;

    assert.deepEqual(full.response.status, {
      code: 504,
      reason: 'Timeout',
      message:
        'container "d": d:1 is not copied yet: the copy queue is full: 2 copies wait (MAX_WAITING), 2 of them for namespace busy',
      details: { retryAfterSeconds: 10 },
    });
    assert.equal(
      response.status?.message,
      'container "e": e:1 waits to be copied: next in the queue',
    );
    assert.equal(cloner.tags('acme/e')['1'], `sha256:${'4'.repeat(64)}`);
  });

  it('admits a queued image under ON_DEADLINE=admit and warns when the backup is used', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const copies = createCopies({ maxCopies: 1, now: () => 0 });
    const { cloner, send } = stage({ copies, policy: { onDeadline: 'admit' } });
    cloner.put('a:1', B);
    const release = cloner.pauseCopies();
    const answering = send({ object: deployment({ web: 'nginx:1.27', log: 'a:1' }) });
    await settle();
    t.mock.timers.tick(9_000);
    const { response } = await answering;
    release();
    await copies.idle();

    assert.equal(response.allowed, true);
    assert.deepEqual(response.warnings, [
      'original image used until it changes or "just backfill" runs: still copying nginx:1.27: started (container "web")',
      'original image used until it changes or "just backfill" runs: it waits to be copied: next in the queue (a:1)',
    ]);
  });
});

describe('createAdmissionHandler with a failing registry', () => {
  const backup = { domain: 'registry.corp', namespace: 'acme', naming: 'flat' } as const;
  const flux = 'system:serviceaccount:flux-system:kustomize-controller';

  it('answers a controller without a request while the backup registry is down', async () => {
    const { cloner, send } = stage({ policy: { backup } });
    cloner.put('redis:7', B);
    const down = new CloneError('BACKUP_UNAVAILABLE', 'registry.corp: connection refused');
    cloner.fail('registry.corp', down);
    await send(web);
    await send({ object: deployment({ web: 'redis:7' }) });
    const before = cloner.resolved.length;

    const { response } = await send({ ...web, username: flux });

    assert.deepEqual(response.status, {
      code: 403,
      reason: 'Forbidden',
      message:
        'container "web": nginx:1.27: the backup registry registry.corp gave no usable answer 0 s ago, next attempt in 2 s',
    });
    assert.equal(cloner.resolved.length, before);
    // An interactive write tries the registry at once.
    cloner.fail('registry.corp', undefined);
    assert.deepEqual(patchOf(await send(web)), patched('registry.corp/acme/nginx:1.27'));
  });

  it('repeats a failed source request at once for an interactive user only', async () => {
    const { cloner, send } = stage();
    const missing = { object: deployment({ web: 'nginx:9.99' }) };
    await send({ ...missing, username: flux });

    const { response } = await send({ ...missing, username: flux });

    assert.equal(
      response.status?.message,
      'container "web": nginx:9.99 does not exist on docker.io; tried 0 s ago, next attempt in 2 s',
    );
    assert.equal(cloner.resolved.filter((name) => name.endsWith('library/nginx:9.99')).length, 1);
    cloner.put('nginx:9.99', A);
    assert.equal((await send(missing)).response.allowed, true);
    assert.equal((await send({ ...missing, username: flux })).response.allowed, true);
  });

  it('uses the backup until a rate limit of the source ends', async () => {
    const { cloner, send } = stage();
    await send(web);
    const limit = new CloneError('SOURCE_RATE_LIMITED', 'slow down', { retryAfterMs: 40_000 });
    cloner.fail('docker.io/library/nginx:1.27', limit);
    await send(web);
    const before = cloner.resolved.length;

    const answer = await send(web);

    assert.deepEqual(patchOf(answer), patched('acme/nginx:1.27'));
    assert.deepEqual(answer.response.warnings, [
      'using the backup of nginx:1.27: docker.io limits requests for 40 s more; authenticate (SOURCE_AUTH_FILE) to get a separ…',
    ]);
    assert.equal(cloner.resolved.slice(before).includes('docker.io/library/nginx:1.27'), false);
  });
});

describe('createAdmissionHandler with namespace overrides', () => {
  const missing = { object: deployment({ web: 'nginx:9.99' }), namespace: 'shop' };

  function own(
    annotations: Readonly<Record<string, string>> | undefined,
    change: Partial<ReviewPolicy> = {},
  ): Stage & { readonly namespacesRead: readonly string[] } {
    const namespacesRead: string[] = [];
    const read = async (namespace: string): Promise<ReadonlyMap<string, string> | undefined> => {
      namespacesRead.push(namespace);
      return annotations === undefined ? undefined : new Map(Object.entries(annotations));
    };
    const overrides = { allowed: ['ON_ERROR', 'ON_DEADLINE'], annotations: { read } } as const;
    return { ...stage({ overrides, policy: change }), namespacesRead };
  }

  it('admits a failed image under the on-error annotation of the namespace and names it', async () => {
    const { send, namespacesRead } = own({ 'image-cloner/on-error': 'admit' });

    const { response } = await send(missing);

    assert.equal(response.allowed, true);
    assert.deepEqual(response.warnings, [
      'namespace shop has image-cloner/on-error: admit',
      'not backed up: nginx:9.99 does not exist on docker.io (container "web")',
    ]);
    assert.deepEqual(namespacesRead, ['shop']);
  });

  it('denies a failed image under the on-error annotation of the namespace and names it', async () => {
    const { send } = own({ 'image-cloner/on-error': 'deny' }, { onError: 'admit' });

    const { response } = await send(missing);

    assert.equal(
      response.status?.message,
      'container "web": nginx:9.99 does not exist on docker.io',
    );
    assert.deepEqual(response.warnings, ['namespace shop has image-cloner/on-error: deny']);
  });

  it('does not mention the on-error annotation if every image has a backup', async () => {
    const { send } = own({ 'image-cloner/on-error': 'admit' });

    assert.equal((await send({ ...web, namespace: 'shop' })).response.warnings, undefined);
  });

  it('admits a pending image under the on-deadline annotation of the namespace', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { cloner, send } = own({ 'image-cloner/on-deadline': 'admit' });
    const release = cloner.pauseCopies();
    const answering = send({ ...web, namespace: 'shop' });
    await settle();
    t.mock.timers.tick(9_000);
    const { response } = await answering;
    release();

    assert.equal(response.allowed, true);
    assert.equal(response.warnings?.[0], 'namespace shop has image-cloner/on-deadline: admit');
  });

  it('applies ON_ERROR with a warning if the on-error annotation is invalid', async () => {
    const { send } = own({ 'image-cloner/on-error': 'yes' });

    const { response } = await send(missing);

    assert.equal(response.allowed, false);
    assert.deepEqual(response.warnings, [
      'image-cloner/on-error must be deny or admit, so ON_ERROR=deny applies',
    ]);
  });

  it('applies ON_ERROR if the namespace cannot be read', async () => {
    const { send } = own(undefined);

    assert.equal((await send(missing)).response.allowed, false);
  });

  it('applies SOURCE_REGISTRIES in a namespace with overrides', async () => {
    const { send } = own({ 'image-cloner/on-error': 'admit' }, { sourceRegistries: ['docker.io'] });

    const { response } = await send({ ...missing, object: deployment({ web: 'quay.io/x/y:1' }) });

    assert.equal(
      response.status?.message,
      'container "web": quay.io/x/y:1 may not be used: SOURCE_REGISTRIES does not list quay.io',
    );
  });

  it('does not read the annotations of a namespace if no image is reviewed', async () => {
    const { send, namespacesRead } = own({});

    await send({ ...web, oldObject: web.object, namespace: 'shop' });

    assert.deepEqual(namespacesRead, []);
  });
});
