import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { createMetrics } from '../../lib/adapters/metrics.ts';

const alerts = await readFile('knative/monitoring/alerts.yaml', 'utf8');
const dashboard = await readFile('knative/monitoring/dashboard.json', 'utf8');
const expectations = await readFile('test/knative/alerts.promtool.yaml', 'utf8');

/** The series names of a metric, from its `# TYPE name kind` line. */
async function exported(): Promise<ReadonlySet<string>> {
  const metrics = createMetrics({
    adapter: 'registry',
    copies: () => ({ running: 0, waiting: 0 }),
  });
  const text = await metrics.render();
  const names = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = '', kind]) =>
    kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
  return new Set(names);
}

/** The image_cloner_… series of a query. */
function namesIn(text: string): readonly string[] {
  return [...text.matchAll(/\b(?:image_cloner|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name);
}

/** Labels by metric, from `metrics.ts`. */
const labels: Readonly<Record<string, readonly string[]>> = {
  image_cloner_reviews_total: ['kind', 'operation', 'verdict'],
  image_cloner_clones_total: ['adapter', 'result', 'reason'],
  image_cloner_registry_requests_total: ['host', 'method', 'status'],
  image_cloner_registry_connections_total: ['host'],
  image_cloner_rate_limit_remaining: ['host'],
  image_cloner_stale_files: ['variable'],
};
/** Labels that Prometheus adds to every series. */
const scraped = ['job', 'instance'];

describe('knative/monitoring', () => {
  for (const [file, text] of Object.entries({ alerts, dashboard, expectations })) {
    it(`${file} queries only existing metrics`, async () => {
      const known = await exported();

      const used = namesIn(text);

      assert.ok(used.length > 5);
      assert.deepEqual(
        used.filter((name) => !known.has(name)),
        [],
      );
    });

    it(`${file} queries only existing labels`, () => {
      const selectors = text.replaceAll('\\"', '"').matchAll(/(image_cloner_\w+)\{([^}]*)\}/g);
      for (const [whole, name = '', inner = ''] of selectors) {
        const used = [...inner.matchAll(/(\w+)(?:=|!=|=~|!~)"/g)].map(([, label = '']) => label);
        const known = [...(labels[name] ?? []), ...scraped];
        assert.deepEqual(
          used.filter((label) => !known.includes(label)),
          [],
          whole,
        );
      }
    });
  }

  it('every Prometheus alert has a promtool test', () => {
    const names = (text: string, key: string): readonly string[] =>
      [...text.matchAll(new RegExp(`${key}: (ImageCloner\\w+)`, 'g'))].map(([, name = '']) => name);

    assert.deepEqual(new Set(names(expectations, 'alertname')), new Set(names(alerts, 'alert')));
    assert.equal(typeof parse(alerts), 'object');
  });

  it('the Grafana dashboard lets its import choose the data source', () => {
    const sources = [...dashboard.matchAll(/"uid": "([^"]*)"/g)].map(([, uid = '']) =>
      uid.replace(/^[$]/, 'of '),
    );

    assert.deepEqual(new Set(sources), new Set(['of {datasource}', 'image-cloner']));
    assert.ok(dashboard.includes('"query": "prometheus"'));
  });
});
