import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { chooseCertificate } from '../../../../functions/deploy/certificates/index.ts';
import {
  type CertificateChain,
  createCertificateChain,
} from '../../../../lib/install/certificate.ts';
import { parseSettings } from '../../../../lib/install/settings.ts';
import { toTlsSecret } from '../../../../lib/install/tls-secret.ts';
import { formatYaml } from '../../../../lib/install/yaml.ts';

// The certificate of a cluster is tested with a real one.
describe('chooseCertificate with CERTIFICATES=files', () => {
  let outDir: string;
  let chain: CertificateChain;

  beforeEach(async () => {
    outDir = await mkdtemp(join(tmpdir(), 'generated-'));
    const settings = parseSettings({});
    chain = await createCertificateChain({ hosts: settings.hosts, now: new Date() });
    await writeFile(join(outDir, 'tls-secret.yaml'), formatYaml(toTlsSecret(settings, chain)));
    await writeFile(join(outDir, 'ca.crt'), chain.ca);
  });
  afterEach(async () => {
    await rm(outDir, { recursive: true });
  });

  function choose(
    env: Readonly<Record<string, string>> = {},
  ): ReturnType<typeof chooseCertificate> {
    return chooseCertificate(parseSettings({ CERTIFICATES: 'files', OUT_DIR: outDir, ...env }));
  }

  it('uses the files that gen wrote', async () => {
    const { ca, secret } = await choose();

    assert.equal(ca, chain.ca);
    assert.match(secret ?? '', /name: image-cloner-tls/);
  });

  it('asks for gen if a file is missing', async () => {
    await rm(join(outDir, 'ca.crt'));

    await assert.rejects(choose(), {
      problems: [
        `${outDir}/ is not complete, and CERTIFICATES=files needs it: run "just gen" first`,
      ],
    });
  });

  it('refuses the files of another installation', async () => {
    await assert.rejects(choose({ NAMESPACE: 'tools' }), {
      problems: [
        `${outDir}/tls-secret.yaml does not fit this installation: it is for image-cloner-tls in image-cloner, not for image-cloner-tls in tools; run "just gen"`,
      ],
    });
  });

  it('refuses a certificate of another CA', async () => {
    const { hosts } = parseSettings({});
    const other = await createCertificateChain({ hosts, now: new Date() });
    await writeFile(join(outDir, 'ca.crt'), other.ca);

    await assert.rejects(choose(), {
      problems: [
        `${outDir}/tls-secret.yaml does not fit this installation: the certificate is not from the CA; run "just gen"`,
      ],
    });
  });
});
