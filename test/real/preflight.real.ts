import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ApiServer, startApiServer } from './support/api-server.ts';
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
