import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { CloneTask } from '../../lib/cloner/clone-task.ts';
import { createCopyToBackup } from '../../lib/cloner/copy-to-backup.ts';
import type { Find } from '../../lib/cloner/queue/index.ts';
import { createFakeCloner } from '../support/fake-cloner.ts';

const A = `sha256:${'a'.repeat(64)}`;
const { signal } = new AbortController();
const source = { domain: 'docker.io', path: 'library/nginx', tag: '1.27' };
const backup = { domain: 'docker.io', path: 'acme/nginx', tag: '1.27' };
const access = { side: 'backup', credentials: undefined } as const;

it('createCopyToBackup: all lookups for a copy of another replica share 30 seconds', async () => {
  const cloner = createFakeCloner();
  cloner.put('acme/nginx:1.27', A);
  const timeouts: number[] = [];
  let time = 0;
  let find: Find | undefined;
  const copyToBackup = createCopyToBackup({
    startCopy: (...given) => {
      find = given[4];
      return {
        wait: () => Promise.resolve(undefined),
        progress: () => undefined,
        place: () => undefined,
      };
    },
    guardBackup: ({ remainingMs }) => ({
      ...cloner,
      resolve: (image, as, within) => {
        timeouts.push(remainingMs());
        time += 20_000;
        return cloner.resolve(image, as, within);
      },
    }),
    privateCopies: {
      markBeforeCopy: () => assert.fail('no copy begins'),
      admit: () => assert.fail('no copy ends'),
      isServedTo: () => assert.fail('no fallback'),
    },
    referrers: { copyBehind: () => assert.fail('no copy begins') },
    now: () => time,
  });
  const task: CloneTask = {
    source,
    backup,
    access,
    query: { cloner, backup, access, signal },
    state: { isOurs: false },
    dryRun: false,
    budgetMs: 9_000,
    remainingMs: () => 9_000,
    signal,
    uid: 'u',
  };
  const checked = {
    digest: A,
    isIndex: false,
    access: { side: 'source' },
    openedBy: 'anonymous',
  } as const;
  await copyToBackup(task, checked, { isCurrent: false, warnings: [] });

  await find?.(signal);

  assert.deepEqual(timeouts, [30_000, 10_000]);
});
