import { describeLeaseStore } from '../../contract/lease-store.ts';
import { createMemoryLeases } from '../../support/memory-leases.ts';

describeLeaseStore('the in-memory lease store', () => {
  const { store } = createMemoryLeases();
  return Promise.resolve({ one: store, two: store, close: () => Promise.resolve() });
});
