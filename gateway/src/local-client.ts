import type { DescService } from "@bufbuild/protobuf";
import {
  createClient,
  createRouterTransport,
  type Client,
  type ConnectRouter,
  type ContextValues,
  type Interceptor,
} from "@connectrpc/connect";

/**
 * A client of a service of this process, without a way over the network. Neither gate nor interceptors stand before it:
 * who calls, and what may be reached, is what `identify` puts into each call.
 */
export function localClient<Service extends DescService>(
  service: Service,
  routes: (router: ConnectRouter) => void,
  identify: (values: ContextValues) => void,
): Client<Service> {
  const asSomebody: Interceptor = (next) => (request) => {
    identify(request.contextValues);
    return next(request);
  };
  return createClient(service, createRouterTransport(routes, { router: { interceptors: [asSomebody] } }));
}
