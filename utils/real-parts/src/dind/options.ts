/** What a test's own Docker daemon is like. */
export interface DindOptions {
  /** The image of the daemon: else one built from the sources here, else one of this machine's own programs. */
  readonly image?: string;
  /** A folder of the host that is at the same path inside, and stays; else a temporary one. */
  readonly jobsFolder?: string;
  /** Bytes, for everything inside together: 4 GiB. */
  readonly memory?: number;
  /** For everything inside together: 2. */
  readonly cpus?: number;
  /** Bound of images and containers on disk; such a daemon starts without images. Needs a loop device. */
  readonly storageBytes?: number;
  /** Also answer by TCP, to clients with a certificate. */
  readonly tls?: boolean;
  /** Devices that look like GPUs to dockerd: `DeviceRequests` and the runtime `nvidia` work, `nvidia-smi` answers. */
  readonly gpus?: 'fake';
  /** How many of those: 2. */
  readonly gpuCount?: number;
  /** Containers are to outlive their daemon: its `live-restore`. */
  readonly keepsContainers?: boolean;
  /**
   * The manager of a Swarm of its own, one node: its services may publish ports with `mode=host`, at the address that
   * `Dind.tls` has, and reach one another over the gateway of their bridge (172.17.0.1). They reach nobody else. Such a
   * daemon starts without images.
   */
  readonly swarm?: boolean;
  /** The daemon's host name. */
  readonly name?: string;
}
