import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addFormerBackup } from '../../../lib/install/record/index.ts';

describe('addFormerBackup', () => {
  const old = { REGISTRY: 'old.example.com', REGISTRY_NAMESPACE: 'backups' };
  const cases = [
    { what: 'nothing for a new installation', deployed: {}, settings: old, expected: undefined },
    { what: 'nothing if the backup stays', deployed: old, settings: old, expected: undefined },
    {
      what: 'the place that the backup leaves',
      deployed: old,
      settings: { REGISTRY: 'new.example.com', REGISTRY_NAMESPACE: 'backups' },
      expected: 'old.example.com/backups',
    },
    {
      what: 'the namespace that the backup leaves',
      deployed: { ...old, REGISTRY: 'old.example.com/team/' },
      settings: { ...old, REGISTRY: 'old.example.com/team', REGISTRY_NAMESPACE: 'copies' },
      expected: 'old.example.com/team/backups',
    },
    {
      what: 'Docker Hub, whose namespace is a username',
      deployed: { CLONER: 'registry' },
      settings: { ...old, CLONER: 'registry' },
      expected: 'docker.io',
    },
    {
      what: 'one more place',
      deployed: old,
      settings: { REGISTRY: 'new.example.com', FORMER_BACKUPS: 'first.example.com/a' },
      expected: 'first.example.com/a,old.example.com/backups',
    },
    {
      what: 'no place to which the backup returns',
      deployed: { REGISTRY: 'new.example.com', FORMER_BACKUPS: 'old.example.com/backups' },
      settings: { ...old, FORMER_BACKUPS: 'old.example.com/backups' },
      expected: 'new.example.com',
    },
  ];
  for (const { what, deployed, settings, expected } of cases) {
    it(`records ${what}`, () => {
      assert.equal(addFormerBackup(deployed, settings), expected);
    });
  }
});
