export { credentialsProbe, folderProbe, tlsProbe } from './file-probes.ts';
export { NOTHING, type PeerProbe, peerProbe, traceProbes } from './peer-probes.ts';
export type { Probe, Probes } from './probe.ts';
export { type CheckRun, runCheck } from './run-check.ts';
export { settingsOrCheck } from './settings-or-check.ts';
