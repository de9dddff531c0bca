import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { formatYaml, parseYaml } from '../../lib/install/yaml.ts';

/** What kubectl makes something else of where it is not quoted: seen by `kubectl annotate --local`. */
const names = ['no', 'on', 'y', 'n', 'yes', 'off', 'NO', '1_000', '0b11'];
const version = '1.1';

describe('YAML for kubectl', () => {
  for (const name of names) {
    it(`leaves ${name} a text`, () => {
      assert.deepEqual(parse(formatYaml({ name }), { version }), { name });
    });

    it(`leaves ${name} a text where it is put into a manifest`, () => {
      const [object] = parseYaml('kind: Service\nenv: []\n');
      object?.addIn(['env'], { name: 'REGISTRY_NAMESPACE', value: name });

      assert.deepEqual(parse(String(object), { version }), {
        kind: 'Service',
        env: [{ name: 'REGISTRY_NAMESPACE', value: name }],
      });
    });
  }
});
