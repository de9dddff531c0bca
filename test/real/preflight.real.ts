import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { startRegistry } from './support/docker-registry.ts';
import { eventually } from './support/eventually.ts';
import { createTempDir } from './support/janitor.ts';
import { type ProgramResult, runProgram } from './support/program.ts';

/** Clusters without Knative, or with an old one; test/real/cluster covers the rest. */
describe('just deploy without a suitable Knative', () => {
  let server: ApiServer;

  before(async () => {
    server = await startApiServer();
  });
  after(async () => {
    await server.stop();
  });

  async function deploy(env: Readonly<Record<string, string>>): Promise<ProgramResult> {
    return await runProgram('node', ['--import', 'tsx', 'functions/deploy/main.ts', 'deploy'], {
      env: {
        KUBECONFIG: server.kubeconfig,
        OUT_DIR: createTempDir('certs'),
        IMAGE: 'registry.example.com/image-cloner:v1',
        ...env,
      },
    });
  }

  it('just deploy lists Knative and all other missing requirements at once', async () => {
    const { code, stderr } = await deploy({ CLONER: 'docker' });

    assert.equal(code, 2);

    assert.match(
      stderr,
      /the cluster does not have services\.serving\.knative\.dev, domainmappings\.serving\.knative\.dev, clusterdomainclaims\S+: install Knative Serving/,
    );
    assert.match(stderr, /is ready in kourier-system: install kourier, .* or set WIRING=direct/);
    assert.match(
      stderr,
      /kubectl create namespace image-cloner && kubectl -n image-cloner create secret/,
    );
    assert.match(stderr, /the docker socket needs kubernetes\.podspec-volumes-hostpath/);
    assert.match(stderr, /nothing was changed$/m);
  });

  it('just deploy needs no gateway and no DomainMapping with WIRING=direct', async () => {
    const { code, stderr } = await deploy({ CLONER: 'registry', WIRING: 'direct' });

    assert.equal(code, 2);
    assert.match(stderr, /the cluster does not have services\.serving\.knative\.dev: /);
    assert.doesNotMatch(stderr, /domainmapping|kourier|hostpath/);
  });

  it('just deploy finds a backup without https or with another password before it creates anything', async () => {
    const users = [{ name: 'acme', password: 'right' }];
    const registry = await startRegistry({ address: findAddress(), users });
    await server.mustKubectl(['create', 'namespace', 'image-cloner']);
    const credentials = ['--from-literal=username=acme', '--from-literal=password=wrong'];
    const secret = ['secret', 'generic', 'registry-auth', '--namespace=image-cloner'];
    await server.mustKubectl(['create', ...secret, ...credentials]);
    const env = { CLONER: 'registry', REGISTRY: registry.host, REGISTRY_NAMESPACE: 'backups' };

    const https = await deploy(env);
    const password = await deploy({ ...env, INSECURE_REGISTRIES: registry.host });
    await registry.stop();
    const down = await deploy({ ...env, INSECURE_REGISTRIES: registry.host });

    const refusal = `the backup registry ${registry.host} did not take a test image from this machine: `;
    for (const { stderr } of [https, password]) assert.ok(stderr.includes(refusal), stderr);
    assert.match(https.stderr, /does not speak https; .* add it to INSECURE_REGISTRIES/);
    assert.match(password.stderr, /rejected the credentials/);
    // The pods may still reach it.
    assert.ok(!down.stderr.includes(refusal), down.stderr);
    const left = await server.mustKubectl([
      'get',
      'configmap',
      '--all-namespaces',
      '--output=name',
    ]);
    assert.doesNotMatch(left, /image-cloner/);
  });

  it('just deploy names the features that an old Knative lacks', async () => {
    await server.mustKubectl(['create', '--filename=-'], JSON.stringify(toOldKnative()));
    await eventually('the API server serves the definitions', async () => {
      const { code } = await server.kubectl(['get', 'ksvc', '--all-namespaces']);
      return code === 0;
    });

    const { stderr } = await deploy({ CLONER: 'docker' });

    assert.match(stderr, /Knative Serving is 0\.26\.1, but the docker socket needs 1\.17 or newer/);
    assert.match(
      stderr,
      /does not serve DomainMapping v1beta1: upgrade it to 1\.0 or newer, or set WIRING=direct/,
    );
  });
});

/** An address of this machine that is not loopback, where plain http needs no setting. */
function findAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (found === undefined) throw new Error('this machine has only loopback addresses');
  return found.address;
}

/** The parts of Knative's definitions that the preflight reads. */
function toOldKnative(): object {
  const kinds = [
    { group: 'serving.knative.dev', kind: 'Service', version: 'v1', short: ['ksvc'] },
    { group: 'serving.knative.dev', kind: 'DomainMapping', version: 'v1alpha1', short: [] },
    {
      group: 'networking.internal.knative.dev',
      kind: 'ClusterDomainClaim',
      version: 'v1alpha1',
      short: [],
    },
  ];
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: kinds.map(({ group, kind, version, short }) => {
      const singular = kind.toLowerCase();
      const schema = {
        openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      };
      return {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: {
          name: `${singular}s.${group}`,
          labels: { 'app.kubernetes.io/version': '0.26.1' },
          annotations: { 'api-approved.kubernetes.io': 'unapproved, of a test' },
        },
        spec: {
          group,
          scope: kind === 'ClusterDomainClaim' ? 'Cluster' : 'Namespaced',
          names: {
            kind,
            singular,
            plural: `${singular}s`,
            listKind: `${kind}List`,
            shortNames: short,
          },
          versions: [{ name: version, served: true, storage: true, schema }],
        },
      };
    }),
  };
}
