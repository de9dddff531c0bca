import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { type Document, parseAllDocuments } from 'yaml';
import { joinPolicies } from '../../functions/deploy/manifests/identity.ts';
import { fillManifests } from '../../functions/deploy/manifests/manifests.ts';
import { parseDeployEnv } from '../support/deploy-settings.ts';

const read = (...path: readonly string[]): Promise<string> =>
  readFile(join('knative', ...path), 'utf8');

/** Address and port of each rule of the NetworkPolicy. */
async function readOpened(file: string): Promise<readonly string[]> {
  const policies = parseAllDocuments(await read('cloud', file)).filter(
    (object: Document) => object.get('kind') === 'NetworkPolicy',
  );
  return policies.flatMap((policy) => {
    const object: unknown = policy.toJS();
    return toOpened(object);
  });
}

const policySchema = v.object({
  spec: v.object({
    egress: v.array(
      v.object({
        to: v.array(v.object({ ipBlock: v.strictObject({ cidr: v.string() }) })),
        ports: v.array(v.object({ port: v.number(), protocol: v.string() })),
      }),
    ),
  }),
});

function toOpened(policy: unknown): readonly string[] {
  return v
    .parse(policySchema, policy)
    .spec.egress.flatMap(({ to, ports }) =>
      to.flatMap(({ ipBlock }) =>
        ports.map(({ port, protocol }) => `${ipBlock.cidr} ${protocol} ${port}`),
      ),
    );
}

interface Filled {
  readonly account: Document | undefined;
  readonly service: Document | undefined;
  readonly identity: Document | undefined;
}

async function fill(CLOUD_IDENTITY: string): Promise<Filled> {
  const settings = parseDeployEnv({
    IMAGE: 'registry.example.com/image-cloner:v1',
    NAME: 'cloner',
    NAMESPACE: 'tools',
    CLOUD_IDENTITY,
  });
  const overlays = settings.install.cloudIdentities.map(({ kind }) =>
    read('cloud', `${kind}.yaml`),
  );
  const filled = fillManifests(
    {
      namespace: await read('namespace.yaml'),
      access: '',
      identity: joinPolicies(await Promise.all(overlays)),
      service: await read('base', 'service.yaml'),
      budget: '',
      wiring: '',
      certificates: '',
    },
    settings,
  );
  const [, account] = parseAllDocuments(filled.namespace);
  const [service] = parseAllDocuments(filled.service);
  const [identity] = parseAllDocuments(filled.identity);
  return { account, service, identity };
}

describe('knative/cloud', () => {
  const opened: Readonly<Record<string, readonly string[]>> = {
    'azure.yaml': [],
    'gke.yaml': ['169.254.169.252/32 TCP 988', '169.254.169.254/32 TCP 80'],
    'irsa.yaml': [],
    'node-role.yaml': ['169.254.169.254/32 TCP 80'],
    'pod-identity.yaml': ['169.254.170.23/32 TCP 80', 'fd00:ec2::23/128 TCP 80'],
  };
  for (const [file, addresses] of Object.entries(opened)) {
    it(`knative/cloud/${file} opens ${addresses.join(', ') || 'no address'}`, async () => {
      assert.deepEqual(await readOpened(file), addresses);
    });
  }

  it('every file of knative/cloud has a test', async () => {
    assert.deepEqual((await readdir('knative/cloud')).toSorted(), Object.keys(opened));
  });

  it('deploy annotates the ServiceAccount with each identity', async () => {
    const role = 'arn:aws:iam::123456789012:role/cloner';
    const client = '0a1b2c3d-0000-4000-8000-000000000000';

    const { account, service, identity } = await fill(`${role},${client}`);

    assert.partialDeepStrictEqual(account?.toJS(), {
      kind: 'ServiceAccount',
      metadata: {
        annotations: {
          'eks.amazonaws.com/role-arn': role,
          'azure.workload.identity/client-id': client,
        },
      },
    });
    const label = ['spec', 'template', 'metadata', 'labels', 'azure.workload.identity/use'];
    assert.equal(service?.getIn(label), 'true');
    assert.equal(identity, undefined);
  });

  it('deploy opens what all identities need in one NetworkPolicy of the installation', async () => {
    const { account, identity } = await fill('pod-identity,gke');

    assert.equal(account?.hasIn(['metadata', 'annotations']), false);
    assert.equal(identity?.getIn(['metadata', 'name']), 'cloner-identity');
    assert.equal(identity?.getIn(['metadata', 'namespace']), 'tools');
    const pods = ['spec', 'podSelector', 'matchLabels', 'serving.knative.dev/service'];
    assert.equal(identity?.getIn(pods), 'cloner');
    const policy: unknown = identity?.toJS();
    assert.deepEqual(toOpened(policy), [
      '169.254.170.23/32 TCP 80',
      'fd00:ec2::23/128 TCP 80',
      '169.254.169.252/32 TCP 988',
      '169.254.169.254/32 TCP 80',
    ]);
  });

  it('deploy opens nothing without a cloud identity', async () => {
    const { account, service, identity } = await fill('');

    assert.equal(account?.hasIn(['metadata', 'annotations']), false);
    assert.equal(service?.toString().includes('azure'), false);
    assert.equal(identity, undefined);
  });
});
