import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMetrics } from '../../lib/adapters/metrics.ts';

function create(): ReturnType<typeof createMetrics> {
  return createMetrics({
    adapter: 'registry',
    copies: () => ({ running: 3, waiting: 7 }),
    now: () => 1_800_000_000_500,
  });
}

/** The `image_cloner_…` samples, without histogram buckets. */
async function lines(metrics: ReturnType<typeof createMetrics>): Promise<readonly string[]> {
  const text = await metrics.render();
  return text
    .split('\n')
    .filter((line) => line.startsWith('image_cloner_') && !line.includes('_bucket'));
}

describe('createMetrics', () => {
  it('counts reviews, copies and registry responses under the documented metric names', async () => {
    const metrics = create();

    metrics.reviewed({ kind: 'Deployment', operation: 'CREATE', verdict: 'patched', seconds: 0.5 });
    metrics.cloned({ result: 'copied', reason: '', seconds: 2, bytes: 1000 });
    metrics.cloned({ result: 'present', reason: '', seconds: 9, bytes: 0 });
    metrics.cloned({ result: 'failed', reason: 'SOURCE_DENIED', seconds: 1, bytes: 0 });
    metrics.answered({ host: 'reg.test', method: 'HEAD', status: 200, remaining: 99 });
    metrics.connected('reg.test');
    metrics.connected('reg.test');
    metrics.backupAnswered(true);
    metrics.certificateExpires(new Date('2027-02-03T04:05:06Z'));

    assert.deepEqual((await lines(metrics)).toSorted(), [
      'image_cloner_backup_up 1',
      'image_cloner_certificate_expiry_timestamp_seconds 1801627506',
      'image_cloner_clone_seconds_count 1',
      'image_cloner_clone_seconds_sum 2',
      'image_cloner_clones_in_flight 3',
      'image_cloner_clones_total{adapter="registry",result="copied",reason=""} 1',
      'image_cloner_clones_total{adapter="registry",result="failed",reason="SOURCE_DENIED"} 1',
      'image_cloner_clones_total{adapter="registry",result="present",reason=""} 1',
      'image_cloner_clones_waiting 7',
      'image_cloner_copied_bytes_total 1000',
      'image_cloner_last_review_timestamp_seconds 1800000000.5',
      'image_cloner_rate_limit_remaining{host="reg.test"} 99',
      'image_cloner_registry_connections_total{host="reg.test"} 2',
      'image_cloner_registry_requests_total{host="reg.test",method="HEAD",status="200"} 1',
      'image_cloner_review_seconds_count 1',
      'image_cloner_review_seconds_sum 0.5',
      'image_cloner_reviews_total{kind="Deployment",operation="CREATE",verdict="patched"} 1',
    ]);
  });

  it('omits image_cloner_backup_up before the first request to the backup', async () => {
    const metrics = create();

    assert.ok(!(await lines(metrics)).some((line) => line.includes('backup_up')));

    metrics.backupAnswered(false);
    assert.ok((await lines(metrics)).includes('image_cloner_backup_up 0'));
  });

  it('omits image_cloner_daemon_up without a docker daemon, and reports its last ping', async () => {
    const metrics = create();

    assert.ok(!(await lines(metrics)).some((line) => line.includes('daemon_up')));

    metrics.daemonAnswered(false);
    assert.ok((await lines(metrics)).includes('image_cloner_daemon_up 0'));
    metrics.daemonAnswered(true);
    assert.ok((await lines(metrics)).includes('image_cloner_daemon_up 1'));
  });

  it('reports stale files in the metrics by their variable', async () => {
    const metrics = create();

    metrics.fileIsStale('REGISTRY_AUTH_DIR', false);
    metrics.fileIsStale('REGISTRY_CA_FILE', true);

    assert.deepEqual(
      (await lines(metrics)).filter((line) => line.includes('stale')),
      [
        'image_cloner_stale_files{variable="REGISTRY_AUTH_DIR"} 0',
        'image_cloner_stale_files{variable="REGISTRY_CA_FILE"} 1',
      ],
    );
  });

  it('omits metrics of timestamps that are not known yet', async () => {
    assert.doesNotMatch(await create().render(), /certificate_expiry\S+ 0|last_review\S+ 0/);
  });

  it('includes the process metrics of Node', async () => {
    assert.match(await create().render(), /^process_resident_memory_bytes /m);
  });

  it('bounds the metric labels for invented hosts, kinds and operations', async () => {
    const metrics = create();

    for (let index = 0; index < 5_000; index += 1) {
      const text = `invented-${index}`;
      metrics.reviewed({ kind: text, operation: text, verdict: 'untouched', seconds: 0 });
      metrics.answered({ host: text, method: text, status: 200, remaining: index });
    }

    const all = await lines(metrics);
    assert.ok(all.length < 150, String(all.length));
    assert.ok(
      all.includes(
        'image_cloner_reviews_total{kind="other",operation="other",verdict="untouched"} 5000',
      ),
    );
    assert.ok(
      all.includes(
        'image_cloner_registry_requests_total{host="other",method="other",status="200"} 4950',
      ),
    );
  });

  it('keeps the metric labels of configured and well-known hosts after many invented hosts', async () => {
    const metrics = createMetrics({
      adapter: 'registry',
      copies: () => ({ running: 0, waiting: 0 }),
      hosts: ['reg.test:5000'],
    });
    for (let index = 0; index < 60; index += 1) {
      const host = `invented-${index}`;
      metrics.answered({ host, method: 'GET', status: 200, remaining: 999_999 });
    }

    metrics.answered({ host: 'reg.test:5000', method: 'GET', status: 200, remaining: undefined });
    metrics.answered({ host: 'registry-1.docker.io', method: 'HEAD', status: 429, remaining: 0 });

    const all = await lines(metrics);
    const expected = [
      'image_cloner_registry_requests_total{host="reg.test:5000",method="GET",status="200"} 1',
      'image_cloner_registry_requests_total{host="registry-1.docker.io",method="HEAD",status="429"} 1',
      'image_cloner_rate_limit_remaining{host="registry-1.docker.io"} 0',
    ];
    for (const line of expected) assert.ok(all.includes(line), line);
    assert.ok(
      !all.some((line) => line.startsWith('image_cloner_rate_limit_remaining{host="other"')),
    );
  });
});
