import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findCopy } from '../../../lib/cloner/backup/read-backup.ts';
import { parseReference } from '../../../lib/index.ts';
import { createFakeCloner } from '../../support/fake-cloner.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const platforms = ['linux/amd64', 'linux/arm64'];
const selectedA = `sha256:f102${'a'.repeat(60)}`;
// printf 'sha256:%s linux/amd64,linux/arm64' $(printf 'a%.0s' $(seq 64)) | sha256sum
const fromA = '1.27.from.045f24e55471';
const pushedA = `sha256:f0f0${'a'.repeat(60)}`;
const { signal } = new AbortController();

describe('findCopy', () => {
  const cases: readonly {
    readonly what: string;
    readonly holds: Readonly<Record<string, string>>;
    readonly source?: string;
    readonly keepsDigest?: boolean;
    readonly platforms?: readonly string[];
    readonly found: string | undefined;
  }[] = [
    { what: 'no tag', holds: {}, found: undefined },
    {
      what: 'the copy and its generation tag',
      holds: { '1.27': A, '1.27.aaaaaaaaaaaa': A },
      found: A,
    },
    { what: 'an older generation', holds: { '1.27': B, '1.27.bbbbbbbbbbbb': B }, found: undefined },
    { what: 'that digest without a generation tag', holds: { '1.27': A }, found: undefined },
    {
      what: 'the generation tag of an unfinished copy',
      holds: { '1.27.aaaaaaaaaaaa': A },
      found: undefined,
    },
    {
      what: 'the generation of a pinned source',
      source: `nginx:1.27@${A}`,
      holds: { '1.27': B, '1.27.bbbbbbbbbbbb': B, '1.27.aaaaaaaaaaaa': A },
      found: A,
    },
    {
      what: "a docker daemon's copy of that digest",
      keepsDigest: false,
      holds: { '1.27': pushedA, '1.27.f0f0aaaaaaaa': pushedA, '1.27.from.aaaaaaaaaaaa': pushedA },
      found: pushedA,
    },
    {
      what: "a docker daemon's copy of another digest",
      keepsDigest: false,
      holds: { '1.27': pushedA, '1.27.f0f0aaaaaaaa': pushedA, '1.27.from.bbbbbbbbbbbb': pushedA },
      found: undefined,
    },
    {
      what: 'a copy of the listed platforms',
      platforms,
      holds: { '1.27': selectedA, '1.27.f102aaaaaaaa': selectedA, [fromA]: selectedA },
      found: selectedA,
    },
    {
      what: 'a copy of other platforms',
      platforms,
      holds: {
        '1.27': selectedA,
        '1.27.f102aaaaaaaa': selectedA,
        '1.27.from.aaaaaaaaaaaa': selectedA,
      },
      found: undefined,
    },
    {
      what: 'a copy of the listed platforms of a pinned source',
      source: `nginx:1.27@${A}`,
      platforms,
      holds: { '1.27': B, '1.27.f102aaaaaaaa': selectedA, [fromA]: selectedA },
      found: selectedA,
    },
    {
      what: 'a copy of all platforms, with a list',
      platforms,
      holds: { '1.27': A, '1.27.aaaaaaaaaaaa': A },
      found: A,
    },
    {
      what: 'a copy of all platforms of a pinned source, with a list',
      source: `nginx:1.27@${A}`,
      platforms,
      holds: { '1.27': B, '1.27.aaaaaaaaaaaa': A },
      found: A,
    },
    {
      what: 'an unfinished copy of the listed platforms, and one of all platforms, of a pinned source',
      source: `nginx:1.27@${A}`,
      platforms,
      holds: { [fromA]: selectedA, '1.27.aaaaaaaaaaaa': A },
      found: A,
    },
  ];
  for (const { what, holds, source = 'nginx:1.27', found, ...options } of cases) {
    it(`finds ${found === undefined ? 'no copy' : 'the copy'} of a digest when the backup holds ${what}`, async () => {
      const cloner = createFakeCloner(options);
      for (const [tag, digest] of Object.entries(holds)) cloner.put(`acme/nginx:${tag}`, digest);
      const backup = { domain: 'docker.io', path: 'acme/nginx', tag: '1.27' };
      const query = {
        cloner,
        backup,
        access: { side: 'backup', credentials: undefined } as const,
        signal,
      };

      const digestFound = await findCopy(query, parseReference(source), A);

      assert.equal(digestFound, found);
    });
  }
});
