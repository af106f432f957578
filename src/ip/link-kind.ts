/** What a frame's link-layer destination says of it: Linux's PACKET_*; `Own` came from this host itself. */
export const LinkKind = { Host: 0, Broadcast: 1, Multicast: 2, OtherHost: 3, Own: 4 } as const
