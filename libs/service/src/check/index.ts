export { credentialsProbe, folderProbe, requireWritable, ticketKeysProbe, tlsProbe } from './file-probes.ts';
export { NOTHING, type PeerProbe, peerProbe, traceProbes } from './peer-probes.ts';
export type { Probe, Probes } from './run-check.ts';
export { type CheckRun, runCheck, settingsOrCheck } from './run-check.ts';
