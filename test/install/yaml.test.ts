import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { formatYaml, parseYaml } from '../../lib/install/yaml.ts';

/** Strings that kubectl reads as another type unless they are quoted, as `kubectl annotate --local` shows. */
const names = ['no', 'on', 'y', 'n', 'yes', 'off', 'NO', '1_000', '0b11'];
const version = '1.1';

describe('formatYaml and parseYaml', () => {
  for (const name of names) {
    it(`quotes the YAML value ${name}, which YAML 1.1 does not read as a string`, () => {
      assert.deepEqual(parse(formatYaml({ name }), { version }), { name });
    });

    it(`quotes the YAML value ${name} when it is added to a parsed manifest`, () => {
      const [object] = parseYaml('kind: Service\nenv: []\n');
      object?.addIn(['env'], { name: 'REGISTRY_NAMESPACE', value: name });

      assert.deepEqual(parse(String(object), { version }), {
        kind: 'Service',
        env: [{ name: 'REGISTRY_NAMESPACE', value: name }],
      });
    });
  }
});
