import type { Secret } from '../../config/index.ts';
import type { Log } from '../../log/index.ts';
import type { Broker } from '../broker.ts';
import { httpBase, parseAddress } from './address.ts';
import { NsqBroker } from './broker.ts';
import { NSQ_TIMES, type NsqTimes } from './connection.ts';
import type { NsqTls } from './nsqjs-patches.ts';

/** Where NSQ is, and how connections are secured. */
export interface NsqBrokerOptions {
  /** The nsqds as `host:port`: messages are published there in turn, and heard there. */
  readonly nsqds?: readonly string[] | undefined;
  /**
   * The nsqlookupds, as `host:port` of their HTTP or as URLs: they name further nsqds to hear, and, where `nsqds` is
   * empty, those to publish at.
   */
  readonly lookupds?: readonly string[] | undefined;
  /** The HTTP addresses of nsqds where topics are made that no nsqlookupd knows of yet. */
  readonly nsqdHttps?: readonly string[] | undefined;
  readonly tls?: NsqTls | undefined;
  /** The secret for nsqd's authentication server. */
  readonly secret?: string | Secret | undefined;
  /** Other times than those of services. */
  readonly times?: Partial<NsqTimes> | undefined;
  readonly log: Log;
}

/**
 * A broker on NSQ; see the contract of {@link Broker}. It opens at once and whatever is there: connections are made
 * when there is something to publish or to hear, and made again when lost. What is wrong is in the log, once. Throws
 * `invalid_request` for an address that is none.
 */
export function openNsqBroker(options: NsqBrokerOptions): Broker {
  const { nsqds = [], lookupds = [], nsqdHttps = [], tls, secret, times, log } = options;
  for (const address of [...lookupds, ...nsqdHttps]) httpBase(address);
  const places = { nsqds: nsqds.map(parseAddress), lookupds, nsqdHttps };
  return new NsqBroker(places, { tls, secret, times: { ...NSQ_TIMES, ...times } }, log);
}
