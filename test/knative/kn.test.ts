import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { parseDocument } from 'yaml';

/** The values of each option, in order. */
type Flags = ReadonlyMap<string, readonly string[]>;

/** Reads the block of flags. kn is not available in tests, so `toService` implements its documented flags. */
async function readFlags(): Promise<{ readonly words: readonly string[]; readonly flags: Flags }> {
  const text = await readFile('knative/kn.md', 'utf8');
  const [, after = ''] = text.split('Flags alone');
  const [, block = ''] = /```sh\n([^`]*)```/.exec(after) ?? [];
  const [words = '', ...options] = block
    .replaceAll('\\\n', ' ')
    .trim()
    .split(/ (?=--|-n )/);
  const pairs = options.map((option) => {
    const [name = '', ...value] = option.trim().split(' ');
    return [name, value.join(' ')] as const;
  });
  const grouped = Map.groupBy(pairs, ([name]) => name);
  return {
    words: words.trim().split(' '),
    flags: new Map([...grouped].map(([name, all]) => [name, all.map(([, value]) => value)])),
  };
}

/** `a=1,b=2`. */
function toPairs(values: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    values
      .flatMap((value) => value.split(','))
      .map((pair) => {
        const [name = '', ...rest] = pair.split('=');
        return [name, rest.join('=')];
      }),
  );
}

/** The Service that kn creates from the flags; an unknown flag is an error. */
function toService(words: readonly string[], flags: Flags): unknown {
  const unknown = [...flags.keys()].filter((name) => !known.has(name));
  assert.deepEqual(unknown, []);
  const one = (name: string): string => {
    const [value, ...more] = flags.get(name) ?? [];
    assert.ok(value !== undefined && more.length === 0, `${name} once`);
    return value;
  };
  const [portName, port] = one('--port').split(':');
  assert.equal(one('--security-context'), 'strict');
  assert.equal(one('--cluster-local'), '');
  const mounts = (flags.get('--mount') ?? []).map((mount) => {
    const [, mountPath, secretName] = /^([^=]+)=secret:([^:]+):readOnly=true$/.exec(mount) ?? [];
    return { mountPath, secretName };
  });
  const toProbe = (flag: string): object => {
    const [, path] = /^http:::(\/.*)$/.exec(one(flag)) ?? [];
    return { httpGet: { path } };
  };
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: {
      name: words[3],
      namespace: one('-n'),
      labels: { 'networking.knative.dev/visibility': 'cluster-local' },
    },
    spec: {
      template: {
        metadata: {
          labels: toPairs(flags.get('--label-revision') ?? []),
          annotations: {
            'autoscaling.knative.dev/min-scale': one('--scale-min'),
            'autoscaling.knative.dev/max-scale': one('--scale-max'),
            'autoscaling.knative.dev/target': one('--scale-target'),
            ...toPairs(flags.get('--annotation-revision') ?? []),
          },
        },
        spec: {
          serviceAccountName: one('--service-account'),
          timeoutSeconds: Number(one('--timeout')),
          // The default of kn and of Knative.
          containerConcurrency: 0,
          containers: [
            {
              image: one('--image'),
              ports: [{ name: portName, containerPort: Number(port) }],
              env: Object.entries(toPairs(flags.get('--env') ?? [])).map(([name, value]) => ({
                name,
                value,
              })),
              readinessProbe: toProbe('--probe-readiness'),
              livenessProbe: toProbe('--probe-liveness'),
              resources: {
                requests: toPairs(flags.get('--request') ?? []),
                limits: toPairs(flags.get('--limit') ?? []),
              },
              securityContext: {
                runAsNonRoot: true,
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                seccompProfile: { type: 'RuntimeDefault' },
                runAsUser: Number(one('--user')),
              },
              volumeMounts: mounts.map(({ mountPath, secretName }) => ({
                name: secretName,
                mountPath,
                readOnly: true,
              })),
            },
          ],
          volumes: mounts.map(({ secretName }) => ({ name: secretName, secret: { secretName } })),
        },
      },
    },
  };
}

const known = new Set([
  '-n',
  '--image',
  '--cluster-local',
  '--service-account',
  '--port',
  '--env',
  '--mount',
  '--security-context',
  '--user',
  '--probe-readiness',
  '--probe-liveness',
  '--request',
  '--limit',
  '--scale-min',
  '--scale-max',
  '--scale-target',
  '--timeout',
  '--label-revision',
  '--annotation-revision',
]);

/** The YAML without the fields that have no flag, as kn.md lists them. */
async function readYaml(): Promise<unknown> {
  const service = parseDocument(await readFile('knative/base/service.yaml', 'utf8'));
  const spec = ['spec', 'template', 'spec'];
  const container = [...spec, 'containers', 0];
  for (const path of [
    [...container, 'securityContext', 'readOnlyRootFilesystem'],
    [...container, 'securityContext', 'runAsGroup'],
    [...container, 'livenessProbe', 'periodSeconds'],
    [...spec, 'enableServiceLinks'],
    [...spec, 'responseStartTimeoutSeconds'],
    [...spec, 'volumes', 0, 'secret', 'optional'],
    // The optional volumes image-cloner-tls, of which only one key is mounted, and image-cloner-files.
    [...spec, 'volumes', 2],
    [...container, 'volumeMounts', 2],
    [...spec, 'volumes', 1],
    [...container, 'volumeMounts', 1],
  ]) {
    assert.ok(service.deleteIn(path), path.join('.'));
  }
  // kn generates the names of volumes.
  service.setIn([...spec, 'volumes', 0, 'name'], 'registry-auth');
  service.setIn([...container, 'volumeMounts', 0, 'name'], 'registry-auth');
  service.setIn([...container, 'env'], [{ name: 'CLONER', value: 'registry' }]);
  return service.toJS();
}

describe('knative/kn.md', () => {
  it('kn.md describes the same Service with flags as knative/base, except fields without a flag', async () => {
    const { words, flags } = await readFlags();

    assert.deepEqual(words.slice(0, 3), ['kn', 'service', 'create']);
    assert.deepEqual(toService(words, flags), await readYaml());
  });

  it('kn.md names every field without a flag', async () => {
    const text = await readFile('knative/kn.md', 'utf8');
    const [, list = ''] = text.split('What flags cannot say');

    for (const left of [
      'readOnlyRootFilesystem',
      'runAsGroup',
      'enableServiceLinks',
      'responseStartTimeoutSeconds',
      'optional',
      'image-cloner-files',
      'image-cloner-tls',
      '/livez',
      'hostPath',
    ]) {
      assert.ok(list.includes(left), left);
    }
  });
});
