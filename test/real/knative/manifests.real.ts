import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { type Cluster, openCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';

const overlays = ['registry', 'docker', 'direct/registry', 'direct/docker'];
const gateways = [
  { file: 'gateway/kourier.yaml', namespace: 'kourier-system' },
  { file: 'gateway/contour.yaml', namespace: 'contour-external' },
  { file: 'gateway/istio.yaml', namespace: 'istio-system' },
];
const flag = 'kubernetes.podspec-volumes-hostpath';

/** The manifests against Knative's own admission. */
describe('the manifests of knative/', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = openCluster();
    for (const { namespace } of gateways) {
      const made = await cluster.kubectl(['create', 'namespace', namespace]);
      assert.ok(made.code === 0 || made.stderr.includes('AlreadyExists'), made.stderr);
    }
    // Knative's dry run includes a dry run of a pod.
    await cluster.mustKubectl(['apply', '--filename=knative/namespace.yaml']);
    await allowHostPath('enabled');
  });

  async function allowHostPath(value: string): Promise<void> {
    const patch = JSON.stringify({ data: { [flag]: value } });
    const where = ['configmap', 'config-features', '--namespace=knative-serving'];
    await cluster.mustKubectl(['patch', ...where, `--patch=${patch}`]);
  }

  async function applyDry(yaml: string): Promise<string> {
    const args = ['apply', '--dry-run=server', '--filename=-'];
    const { code, stdout, stderr } = await cluster.kubectl(args, yaml);
    return code === 0 ? `${stderr}${stdout}` : `refused: ${stderr}`;
  }

  for (const overlay of overlays) {
    it(`applies knative/${overlay} without a warning`, async () => {
      const yaml = await cluster.mustKubectl(['kustomize', `knative/${overlay}`]);

      // The hostPath flag reaches Knative's webhook asynchronously.
      await eventually('it is accepted', async () => !(await applyDry(yaml)).startsWith('refused'));
      assert.equal(
        await applyDry(yaml),
        'service.serving.knative.dev/image-cloner created (server dry run)\n',
      );
    });
  }

  for (const { file } of gateways) {
    it(`applies knative/${file} to a cluster`, async () => {
      const output = await cluster.mustKubectl([
        'apply',
        '--dry-run=server',
        '-f',
        `knative/${file}`,
      ]);

      assert.equal(output.match(/\(server dry run\)/g)?.length, 3, output);
    });
  }

  for (const file of ['namespace', 'rbac', 'network-policy', 'direct/service', 'pull-secrets']) {
    it(`applies knative/${file}.yaml without a warning`, async () => {
      const { code, stdout, stderr } = await cluster.kubectl(
        [
          'apply',
          '--dry-run=server',
          '--namespace=image-cloner',
          '-f',
          `knative/${file}.yaml`,
        ].filter((arg) => file !== 'namespace' || !arg.startsWith('--namespace')),
      );

      assert.equal(code, 0, stderr);
      // The namespace was created without kubectl apply.
      assert.doesNotMatch(stderr.replace(/.*last-applied-configuration.*\n?/g, ''), /Warning/);
      assert.match(stdout, /\(server dry run\)/);
    });
  }

  it('the Knative Service needs a feature flag of Knative only for the docker socket', async () => {
    await allowHostPath('disabled');
    const docker = await cluster.mustKubectl(['kustomize', 'knative/docker']);
    const registry = await cluster.mustKubectl(['kustomize', 'knative/registry']);

    const refusal = await eventually('it is refused', async () => {
      const output = await applyDry(docker);
      return output.startsWith('refused') && output;
    });
    assert.match(refusal, /HostPath volume support is disabled/);
    assert.doesNotMatch(await applyDry(registry), /refused/);
    await allowHostPath('enabled');
  });

  it('the Knative Service does not change when Knative sets defaults a second time', async () => {
    const yaml = await cluster.mustKubectl(['kustomize', 'knative/direct/registry']);
    const generation = async (): Promise<string> =>
      await cluster.mustKubectl([
        'get',
        'ksvc',
        'image-cloner',
        '--namespace=image-cloner',
        '--output=jsonpath={.metadata.generation}',
      ]);
    await cluster.mustKubectl(['apply', '--filename=-'], yaml);
    const first = await generation();

    await cluster.mustKubectl(['apply', '--filename=-'], yaml);

    assert.equal(await generation(), first);
    const stored: unknown = parse(
      await cluster.mustKubectl([
        'get',
        'ksvc',
        'image-cloner',
        '--namespace=image-cloner',
        '--output=yaml',
      ]),
    );
    // Knative silently removes fields that it does not support.
    assert.partialDeepStrictEqual(stored, parse(yaml));
    await cluster.mustKubectl(['delete', 'ksvc', 'image-cloner', '--namespace=image-cloner']);
  });
});
