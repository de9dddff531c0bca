import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type BackupLocation, backupReference, isBackup } from '../../lib/image/backup-name.ts';
import {
  canonicalReference,
  formatReference,
  parseReference,
  type Reference,
} from '../../lib/image/reference.ts';
import { propertyRuns } from '../support/property-runs.ts';
import { anyReference } from '../support/references.ts';

const D = `sha256:${'d'.repeat(64)}`;
const hub: BackupLocation = { domain: 'docker.io', namespace: 'acme', naming: 'flat' };
const corp: BackupLocation = { domain: 'registry.corp', namespace: 'team/acme', naming: 'nested' };

/** The hashes are those of `printf SOURCE | sha256sum`, the source written in full and without its tag. */
describe('backupReference', () => {
  const flat: readonly (readonly [source: string, backup: string])[] = [
    ['alpine:3.12', 'acme/alpine:3.12'],
    ['docker.io/library/alpine:3.12', 'acme/alpine:3.12'],
    ['nginx', 'acme/nginx:latest'],
    ['bitnami/nginx:1.27', 'acme/bitnami__nginx:1.27'],
    ['nginx:1.27.hold', 'acme/nginx:1.27.hold-879abeed93c4'],
    ['quay.io/prometheus/node-exporter:v1.8.0', 'acme/quay.io__prometheus__node-exporter:v1.8.0'],
    ['registry.corp:5000/a/b:1', 'acme/registry.corp-5000__a__b-7131e7600b55:1'],
    [`ghcr.io/x/y@${D}`, `acme/ghcr.io__x__y:sha256.${'d'.repeat(64)}@${D}`],
    [`ghcr.io/x/y:v2@${D}`, `acme/ghcr.io__x__y:v2@${D}`],
    // Altered or ambiguous names have a hash:
    ['Quay.io/a/b:1', 'acme/quay.io__a__b-c1e7d25aeecb:1'],
    ['[::1]:5000/a:1', 'acme/1-5000__a-e1ee19a6ade6:1'],
    ['[::]/a:1', 'acme/0__a-442820a88a43:1'],
    ['a__b/c:1', 'acme/a__b__c-eb7d71f5a467:1'],
    ['a/b__c:1', 'acme/a__b__c-6f6de1522630:1'],
    ['a/b/c:1', 'acme/a__b__c:1'],
    ['docker.io/quay.io/x:1', 'acme/quay.io__x-00ba696d935e:1'],
    ['quay.io/x:1', 'acme/quay.io__x:1'],
    ['x-0123456789ab:1', 'acme/x-0123456789ab-234211502bd0:1'],
    ['x-0123456789a:1', 'acme/x-0123456789a:1'],
    ['library/a/b:1', 'acme/library__a__b:1'],
    ['docker.io:443/foo:1', 'acme/docker.io-443__foo-53f3fd33245b:1'],
    ['localhost/foo:1', 'acme/localhost__foo:1'],
  ];
  for (const [source, backup] of flat) {
    it(`maps ${source} to the backup ${backup} with NAMING=flat`, () => {
      assert.equal(formatReference(backupReference(parseReference(source), hub)), backup);
    });
  }

  const nested: readonly (readonly [source: string, backup: string])[] = [
    ['alpine:3.12', 'docker.io/library/alpine:3.12'],
    ['docker.io/library/alpine:3.12', 'docker.io/library/alpine:3.12'],
    ['nginx', 'docker.io/library/nginx:latest'],
    ['bitnami/nginx:1.27', 'docker.io/bitnami/nginx:1.27'],
    ['quay.io/prometheus/node-exporter:v1.8.0', 'quay.io/prometheus/node-exporter:v1.8.0'],
    ['registry.corp:5000/a/b:1', 'registry.corp-5000/a/b-7131e7600b55:1'],
    [`ghcr.io/x/y@${D}`, `ghcr.io/x/y:sha256.${'d'.repeat(64)}@${D}`],
    [`ghcr.io/x/y:v2@${D}`, `ghcr.io/x/y:v2@${D}`],
    ['Quay.io/a/b:1', 'quay.io/a/b-c1e7d25aeecb:1'],
    ['[::1]:5000/a:1', '1-5000/a-e1ee19a6ade6:1'],
    ['[::]/a:1', '0/a-442820a88a43:1'],
    ['x-0123456789ab:1', 'docker.io/library/x-0123456789ab-234211502bd0:1'],
  ];
  for (const [source, backup] of nested) {
    it(`maps ${source} to the backup ${backup} with NAMING=nested`, () => {
      const found = backupReference(parseReference(source), corp);
      assert.equal(formatReference(found), `registry.corp/team/acme/${backup}`);
    });
  }

  it('truncates a backup name of more than 255 characters with the host and appends a hash', () => {
    const source = parseReference(`quay.io/${'q'.repeat(255)}:1`);

    const { domain, path, tag } = backupReference(source, hub);

    // 255 - 'docker.io/acme/'.length - '-'.length - 12 = 227, of which 'quay.io__' takes 9.
    assert.deepEqual(
      { domain, path, tag },
      {
        domain: 'docker.io',
        path: `acme/quay.io__${'q'.repeat(218)}-0fa381547808`,
        tag: '1',
      },
    );
    assert.equal(`${domain}/${path}`.length, 255);
  });

  it('keeps a backup name whole that has 255 characters with the host', () => {
    const source = parseReference(`${'q'.repeat(240)}:1`);

    const { path } = backupReference(source, hub);

    assert.equal(path, `acme/${'q'.repeat(240)}`);
  });

  const location: fc.Arbitrary<BackupLocation> = fc.record({
    domain: fc.constantFrom('docker.io', 'registry.corp', 'registry.corp:5000', '[::1]:5000'),
    namespace: fc.constantFrom('acme', 'team/acme', 'quay.io', 'n'.repeat(128)),
    naming: fc.constantFrom('flat', 'nested'),
  });

  it('gives two sources never the same backup name', () => {
    fc.assert(
      fc.property(anyReference, anyReference, location, (a, b, place) => {
        fc.pre(canonicalReference(a) !== canonicalReference(b));
        assert.notEqual(
          formatReference(backupReference(a, place)),
          formatReference(backupReference(b, place)),
        );
      }),
      propertyRuns(3_000),
    );
  });

  /** Each of these names is close to the backup of another one. */
  const similarSources = [
    ...'a/b/c a__b/c a/b__c a__b__c library/a/b a/b-c a-b/c'.split(' '),
    ...'quay.io/x docker.io/quay.io/x Quay.io/x QUAY.io/x quay.io:443/x quay.io__x'.split(' '),
    ...'quay.io/x/y quay.io/x__y docker.io/quay.io/x/y docker.io/library/quay.io/x'.split(' '),
    ...'docker.io:443/x registry-1.docker.io/x localhost/x docker.io/localhost/x'.split(' '),
    ...'reg.corp:5000/a reg.corp-5000/a Reg.corp-5000/a reg.corp:05000/a reg.corp/5000/a'.split(
      ' ',
    ),
    ...'[::1]/a [1::]/a [::]/a [:::]/a [::1]:5000/a [1:5000]/a [::A]/a [::a]/a'.split(' '),
    ...'LOCALHOST/x localhost:1/x x-0123456789ab x a__b__c-eb7d71f5a467'.split(' '),
    ...'quay.io__x-00ba696d935e a/b/c-eb7d71f5a467 quay.io/x-00ba696d935e'.split(' '),
    `quay.io/${'q'.repeat(255)}`,
    `quay.io/${'q'.repeat(254)}`,
    `quay.io/${'q'.repeat(218)}`,
    `quay.io/${'q'.repeat(218)}-0fa381547808`,
  ];
  for (const place of [
    hub,
    { ...hub, naming: 'nested' as const },
    corp,
    { ...corp, naming: 'flat' as const },
  ]) {
    it(`maps ${similarSources.length} similar sources to different backups in ${place.domain}/${place.namespace} (${place.naming})`, () => {
      const owners = Map.groupBy(similarSources, (source) =>
        formatReference(backupReference(parseReference(source), place)),
      );

      assert.deepEqual(
        [...owners].filter(([, sources]) => sources.length > 1),
        [],
      );
      assert.equal(owners.size, similarSources.length);
    });
  }

  it('returns a valid backup name of at most 255 characters with the host', () => {
    fc.assert(
      fc.property(anyReference, location, (source, place) => {
        const backup = backupReference(source, place);

        assert.deepEqual(parseReference(formatReference(backup)), backup);
        assert(`${backup.domain}/${backup.path}`.length <= 255);
        assert.match(backup.tag ?? '', /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/);
        assert(isBackup(backup, place));
      }),
      propertyRuns(3_000),
    );
  });

  it('gives a backup name two path components with NAMING=flat, the most that Docker Hub and quay.io allow', () => {
    fc.assert(
      fc.property(anyReference, (source) => {
        assert.equal(backupReference(source, hub).path.split('/').length, 2);
      }),
    );
  });
});

describe('isBackup', () => {
  const cases: readonly (readonly [
    reference: string,
    location: Pick<BackupLocation, 'domain' | 'namespace'>,
    expected: boolean,
  ])[] = [
    ['acme/nginx:1', hub, true],
    ['docker.io/acme/nginx', hub, true],
    ['index.docker.io/acme/nginx', hub, true],
    [`acme/nginx@${D}`, hub, true],
    ['acme/deep/nginx', hub, true],
    ['nginx', hub, false],
    ['acme', hub, false],
    ['library/acme', hub, false],
    ['acme2/nginx', hub, false],
    ['acm/e', hub, false],
    ['other/acme/nginx', hub, false],
    ['quay.io/acme/nginx', hub, false],
    ['docker.io.evil.com/acme/nginx', hub, false],
    ['registry.corp/team/acme/nginx', corp, true],
    ['registry.corp/team/acme', corp, false],
    ['registry.corp/team/acme2/nginx', corp, false],
    ['registry.corp/team/nginx', corp, false],
    ['registry.corp/acme/nginx', corp, false],
    ['registry.corp.evil/team/acme/nginx', corp, false],
    ['evil.registry.corp/team/acme/nginx', corp, false],
    ['registry.corp:5000/team/acme/nginx', corp, false],
    ['evil.com/registry.corp/team/acme/nginx', corp, false],
  ];
  for (const [reference, location, expected] of cases) {
    it(`${expected ? 'recognizes' : 'does not recognize'} ${reference.slice(0, 50)} in the backup ${location.domain}/${location.namespace}`, () => {
      const parsed: Reference = parseReference(reference);

      assert.equal(isBackup(parsed, { ...location, naming: 'flat' }), expected);
    });
  }
});
