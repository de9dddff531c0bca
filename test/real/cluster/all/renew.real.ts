import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { parseAllDocuments } from 'yaml';
import { fillRenewal } from '../../../../functions/deploy/manifests/renewal.ts';
import { readServedCertificate } from '../../../../lib/adapters/served-certificate.ts';
import {
  type CertificateChain,
  createCertificateChain,
} from '../../../../lib/install/certificate.ts';
import { parseSettings } from '../../../../lib/install/settings.ts';
import { toTlsSecret } from '../../../../lib/install/tls-secret.ts';
import { eventually } from '../../support/eventually.ts';
import { openStage, own, type Stage, toDeployment } from '../../support/stage.ts';

const shop = 'renew-shop';
const name = 'image-cloner';
const dayMs = 86_400_000;
const { signal } = new AbortController();

const secretSchema = v.object({
  metadata: v.object({ annotations: v.optional(v.record(v.string(), v.string()), {}) }),
  data: v.record(v.string(), v.string()),
});

/** The CronJob in its own pods. An hour passes by setting the annotation back, since no clock of a cluster can be moved. */
describe('the CronJob that renews the certificate', () => {
  let stage: Stage;

  before(async () => {
    stage = await openStage();
    await stage.prepare();
  });
  after(async () => {
    await stage.tryJust(['undeploy', '--yes']);
    await stage.close();
  });

  async function applyRenewal(): Promise<void> {
    const yaml = fillRenewal(await readFile('knative/renewal/renewal.yaml', 'utf8'), {
      install: { name, namespace: own },
      image: stage.env['IMAGE'] ?? '',
    });
    const items = [...parseAllDocuments(yaml)].map((object): unknown => object.toJS());
    await stage.kubectl(['apply', '--filename=-'], { apiVersion: 'v1', kind: 'List', items });
  }

  async function readSecret(): Promise<v.InferOutput<typeof secretSchema>> {
    const args = ['get', 'secret', `${name}-tls`, `--namespace=${own}`, '--output=json'];
    return v.parse(secretSchema, JSON.parse(await stage.kubectl(args)));
  }

  /** When the certificate ends, as a pod of the current Revision reports it, in seconds. */
  async function readExpiry(): Promise<number | undefined> {
    const ofService = ['get', 'ksvc', name, `--namespace=${own}`];
    const revision = await stage.kubectl([
      ...ofService,
      '--output=jsonpath={.status.latestReadyRevisionName}',
    ]);
    const pod = await stage.kubectl([
      'get',
      'pods',
      `--namespace=${own}`,
      `--selector=serving.knative.dev/revision=${revision}`,
      '--output=jsonpath={.items[0].metadata.name}',
    ]);
    const path = `/api/v1/namespaces/${own}/pods/${pod}:8080/proxy/metrics`;
    const metrics = await stage.kubectl(['get', `--raw=${path}`]);
    const [, value] =
      /^image_cloner_certificate_expiry_timestamp_seconds (\S+)$/m.exec(metrics) ?? [];
    return value === undefined ? undefined : Number(value);
  }

  async function setBundle(pem: string): Promise<void> {
    const path = '/webhooks/0/clientConfig/caBundle';
    const patch = JSON.stringify([{ op: 'add', path, value: btoa(pem) }]);
    await stage.kubectl([
      'patch',
      'mutatingwebhookconfiguration',
      name,
      '--type=json',
      '-p',
      patch,
    ]);
  }

  async function readBundle(): Promise<string> {
    const output = '--output=jsonpath={.webhooks[0].clientConfig.caBundle}';
    return atob(await stage.kubectl(['get', 'mutatingwebhookconfiguration', name, output]));
  }

  /** Puts a certificate into force that has 29 days left. */
  async function installOld(env: Readonly<Record<string, string>>): Promise<void> {
    const settings = parseSettings(env);
    const now = new Date(Date.now() - 336 * dayMs);
    const chain = await createCertificateChain({ hosts: settings.hosts, now });
    await setBundle(`${await readBundle()}\n${chain.ca}`);
    await stage.kubectl(['apply', '--filename=-'], toTlsSecret(settings, chain));
    await untilServed(env, chain.certificate);
    await setBundle(chain.ca);
  }

  /** Waits until ten connections in a row get this certificate from the Service that the API server calls. */
  async function untilServed(
    env: Readonly<Record<string, string>>,
    certificate: CertificateChain['certificate'],
  ): Promise<void> {
    const { service, hosts } = parseSettings(env);
    const get = ['get', 'service', service.name, `--namespace=${service.namespace}`];
    const host = await stage.kubectl([...get, '--output=jsonpath={.spec.clusterIP}']);
    const expected = new X509Certificate(certificate).raw.toString('base64');
    await eventually(
      'every connection gets the certificate',
      async () => {
        const served = await Promise.all(
          Array.from({ length: 10 }, () =>
            readServedCertificate({ host, port: 443, serverName: hosts[0] }, signal),
          ),
        );
        return served.every((each) => each.certificate === expected);
      },
      180_000,
    );
  }

  /** Starts the CronJob now. Resolves with its log. */
  async function renew(job: string): Promise<string> {
    const inOwn = `--namespace=${own}`;
    await stage.kubectl(['create', 'job', job, `--from=cronjob/${name}-renewal`, inOwn]);
    const wait = ['wait', '--for=condition=Complete', `job/${job}`, inOwn, '--timeout=120s'];
    const { code, stderr } = await stage.tryKubectl(wait);
    const log = await stage.kubectl(['logs', `job/${job}`, inOwn]);
    assert.equal(code, 0, `${stderr}${log}`);
    return log;
  }

  async function letAnHourPass(): Promise<void> {
    const annotation = 'image-cloner/unchanged-since';
    const { metadata } = await readSecret();
    const [time = '', ...mark] = (metadata.annotations[annotation] ?? '').split(' ');
    const earlier = new Date(new Date(time).getTime() - 3_600_000).toISOString();
    const value = `${annotation}=${[earlier, ...mark].join(' ')}`;
    await stage.kubectl([
      'annotate',
      '--overwrite',
      `--namespace=${own}`,
      'secret',
      `${name}-tls`,
      value,
    ]);
  }

  async function rejectedUntil(over: AbortSignal): Promise<readonly string[]> {
    const rejected: string[] = [];
    const deployment = toDeployment(shop, 'dry', stage.original);
    while (!over.aborted) {
      const create = ['create', '--dry-run=server', '--filename=-'];
      const { code, stderr } = await stage.tryKubectl(create, deployment);
      if (code !== 0) rejected.push(stderr);
    }
    return rejected;
  }

  // In this order, because Knative keeps the pods of an old Revision for ten minutes, and those of a gateway serve no TLS.
  for (const WIRING of ['direct', 'gateway']) {
    it(`the CronJob renews the certificate with WIRING=${WIRING}, and no write is refused`, async () => {
      const env = { WIRING };
      await stage.just('deploy', env);
      const served = new X509Certificate(atob((await readSecret()).data['tls.crt'] ?? ''));
      await eventually(
        'the metrics of a pod have the end of the certificate',
        async () => (await readExpiry()) === served.validToDate.getTime() / 1000,
      );
      await applyRenewal();
      if (WIRING === 'direct') await stage.optIn(shop);
      await installOld(env);
      const old = await readSecret();
      const over = new AbortController();
      const rejected = rejectedUntil(over.signal);

      const work = async (): Promise<void> => {
        assert.match(await renew(`${WIRING}-1`), /trusts the old and the new CA/);
        await letAnHourPass();
        assert.match(await renew(`${WIRING}-2`), /the Secret has the new certificate/);
        await untilServed(env, atob((await readSecret()).data['tls.crt'] ?? ''));
        await letAnHourPass();
        assert.match(await renew(`${WIRING}-3`), /trusts the new CA only/);
      };
      await work().finally(() => over.abort());

      assert.deepEqual(await rejected, []);
      const { data } = await readSecret();
      assert.notEqual(data['tls.crt'], old.data['tls.crt']);
      assert.equal(await readBundle(), atob(data['ca.crt'] ?? ''));
      assert.match(await stage.just('status', env), /ok {2}certificate +valid for 36\d days/);
    });
  }
});
