import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A TCP proxy that can be cut, so that what is behind it seems to be away. */
export interface TcpProxy {
  readonly port: number;
  /** Breaks every connection and refuses new ones. */
  cut(): Promise<void>;
  /** What the target answers is lost from now on, until `heal`. */
  loseAnswers(): void;
  /** Listens again on the same port. */
  heal(): Promise<void>;
}

/** Starts a proxy on a free port of the loopback. */
export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  let losing = false;

  const heal = async (): Promise<void> => {
    losing = false;
    server = createServer((socket) => {
      const upstream = connect(target.port, target.host);
      for (const each of [socket, upstream]) {
        sockets.add(each);
        each.on("error", () => {});
        each.on("close", () => {
          sockets.delete(each);
          socket.destroy();
          upstream.destroy();
        });
      }
      socket.pipe(upstream);
      upstream.on("data", (chunk) => losing || socket.write(chunk));
    });
    await new Promise<void>((resolve) => server?.listen(port, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  };

  await heal();
  return {
    get port() {
      return port;
    },
    heal,
    loseAnswers() {
      losing = true;
    },
    async cut() {
      const closing = new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
      for (const socket of sockets) socket.destroy();
      await closing;
    },
  };
}
