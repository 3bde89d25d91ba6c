//! Frames from Google's own protobuf library: magic, length, google.protobuf.Any with a google.protobuf.Struct, serialized
//! deterministically, keys sorted bytewise.

/// The frame of `client`, on network 241.
pub const OF_CLIENT: &[u8] = b"\
    =#\x04g\x00\x00\x02.\n*type.googleapis.com/google.protobuf.Struct\x12\xff\x03\n\x8f\x03\n\x15x-envoy-peer-me\
    tadata\x12\xf5\x02*\xf2\x02\n\x1a\n\nCLUSTER_ID\x12\x0c\x1a\nKubernetes\n\x19\n\rISTIO_VERSION\x12\x08\x1a\
    \x061.31.0\n{\n\x06LABELS\x12q*o\n\x0f\n\x03app\x12\x08\x1a\x06client\n+\n\x1fservice.istio.io/canonical-nam\
    e\x12\x08\x1a\x06client\n/\n#service.istio.io/canonical-revision\x12\x08\x1a\x06latest\n\x1a\n\x07MESH_ID\
    \x12\x0f\x1a\rcluster.local\n!\n\x04NAME\x12\x19\x1a\x17client-7d8f6b9c4d-00001\n\x16\n\tNAMESPACE\x12\t\x1a\
    \x07default\nJ\n\x05OWNER\x12A\x1a?kubernetes://apis/apps/v1/namespaces/default/deployments/client\n\x19\n\r\
    WORKLOAD_NAME\x12\x08\x1a\x06client\nk\n\x18x-envoy-peer-metadata-id\x12O\x1aMsidecar~127.241.0.1~client-7d8\
    f6b9c4d-00001.default~default.svc.cluster.local";
/// The frame of `db-v1`, on network 242.
pub const OF_DB: &[u8] = b"\
    =#\x04g\x00\x00\x020\n*type.googleapis.com/google.protobuf.Struct\x12\x81\x04\n\x92\x03\n\x15x-envoy-peer-me\
    tadata\x12\xf8\x02*\xf5\x02\n\x1a\n\nCLUSTER_ID\x12\x0c\x1a\nKubernetes\n\x19\n\rISTIO_VERSION\x12\x08\x1a\
    \x061.31.0\n\x80\x01\n\x06LABELS\x12v*t\n\x0b\n\x03app\x12\x04\x1a\x02db\n'\n\x1fservice.istio.io/canonical-\
    name\x12\x04\x1a\x02db\n+\n#service.istio.io/canonical-revision\x12\x04\x1a\x02v1\n\x0f\n\x07version\x12\x04\
    \x1a\x02v1\n\x1a\n\x07MESH_ID\x12\x0f\x1a\rcluster.local\n \n\x04NAME\x12\x18\x1a\x16db-v1-7d8f6b9c4d-00002\
    \n\x16\n\tNAMESPACE\x12\t\x1a\x07default\nI\n\x05OWNER\x12@\x1a>kubernetes://apis/apps/v1/namespaces/default\
    /deployments/db-v1\n\x18\n\rWORKLOAD_NAME\x12\x07\x1a\x05db-v1\nj\n\x18x-envoy-peer-metadata-id\x12N\x1aLsid\
    ecar~127.242.0.2~db-v1-7d8f6b9c4d-00002.default~default.svc.cluster.local";
/// The frame of a workload `orders-v2` with a proxy of current Istio.
pub const OF_ORDERS: &[u8] = b"\
    =#\x04g\x00\x00\x02\x14\n*type.googleapis.com/google.protobuf.Struct\x12\xe5\x03\n\x83\x03\n\x15x-envoy-peer\
    -metadata\x12\xe9\x02*\xe6\x02\n\x19\n\nCLUSTER_ID\x12\x0b\x1a\tcluster-2\n9\n\x08IDENTITY\x12-\x1a+spiffe:/\
    /cluster.local/ns/default/sa/orders\n\x88\x01\n\x06LABELS\x12~*|\n\x0f\n\x03app\x12\x08\x1a\x06orders\n+\n\
    \x1fservice.istio.io/canonical-name\x12\x08\x1a\x06orders\n+\n#service.istio.io/canonical-revision\x12\x04\
    \x1a\x02v2\n\x0f\n\x07version\x12\x04\x1a\x02v2\n\x16\n\tNAMESPACE\x12\t\x1a\x07default\nM\n\x05OWNER\x12D\
    \x1aBkubernetes://apis/apps/v1/namespaces/default/deployments/orders-v2\n\x1c\n\rWORKLOAD_NAME\x12\x0b\x1a\t\
    orders-v2\n]\n\x18x-envoy-peer-metadata-id\x12A\x1a?sidecar~10.44.0.9~orders-v2-1.default~default.svc.cluste\
    r.local";
/// The same for a workload in namespace `kube-system`.
pub const OF_KUBE_SYSTEM: &[u8] = b"\
    =#\x04g\x00\x00\x02\x19\n*type.googleapis.com/google.protobuf.Struct\x12\xea\x03\n\x84\x03\n\x15x-envoy-peer\
    -metadata\x12\xea\x02*\xe7\x02\n\x19\n\nCLUSTER_ID\x12\x0b\x1a\tcluster-2\n<\n\x08IDENTITY\x120\x1a.spiffe:/\
    /cluster.local/ns/kube-system/sa/admin\n\x86\x01\n\x06LABELS\x12|*z\n\x0e\n\x03app\x12\x07\x1a\x05admin\n*\n\
    \x1fservice.istio.io/canonical-name\x12\x07\x1a\x05admin\n+\n#service.istio.io/canonical-revision\x12\x04\
    \x1a\x02v1\n\x0f\n\x07version\x12\x04\x1a\x02v1\n\x1a\n\tNAMESPACE\x12\r\x1a\x0bkube-system\nM\n\x05OWNER\
    \x12D\x1aBkubernetes://apis/apps/v1/namespaces/kube-system/deployments/admin\n\x18\n\rWORKLOAD_NAME\x12\x07\
    \x1a\x05admin\na\n\x18x-envoy-peer-metadata-id\x12E\x1aCsidecar~10.44.0.9~admin-1.kube-system~kube-system.sv\
    c.cluster.local";
