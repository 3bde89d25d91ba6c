# Real parts of a cluster with Istio, built from Go modules: parts of setup.sh, to be sourced after lib.sh.
# shellcheck shell=bash
# shellcheck source=scripts/lib.sh

ETCD_VERSION=3.7.3
KUBERNETES_VERSION=1.37.2
ISTIO_VERSION=1.31
# Its commit: Istio's tags are no versions of Go modules.
ISTIO_MODULE=v0.0.0-20260827124520-eed52ebb66ad
# Its version as a Go module is 0.3MM.P for 3.MM.P.
PROMETHEUS_VERSION=0.316.0
# The newest that is a Go module.
KIALI_VERSION=1.89.8
HELM_VERSION=4.2.4
GO_VERSION=1.26

ISTIO_PARTS="registry etcd apiserver controllers service_proxy kubectl istiod agent istioctl helm discovery kiali"
PARTS=$TOOLS/cluster
ETCD_HOME=$PARTS/etcd-$ETCD_VERSION
KUBERNETES_HOME=$PARTS/kubernetes-$KUBERNETES_VERSION
ISTIO_HOME=$PARTS/istio-$ISTIO_VERSION
PROMETHEUS_HOME=$PARTS/prometheus-$PROMETHEUS_VERSION
KIALI_HOME=$PARTS/kiali-$KIALI_VERSION
HELM_HOME=$PARTS/helm-$HELM_VERSION

# Whether the tests that have them can run here and now.
istio_ready() {
    local part
    if [ "$(id -u)" -ne 0 ] || ! have_network; then return 1; fi
    unshare --net --mount --pid --fork true 2>/dev/null || return 1
    for part in $ISTIO_PARTS; do "have_$part" || return 1; done
}

name_go() { say "Go $GO_VERSION or newer"; }
have_go() { have go && at_least "$(go env GOVERSION | tr -d go)" "$GO_VERSION"; }
get_go() {
    die "The parts of a real cluster are built by Go $GO_VERSION or newer: please install it (https://go.dev/dl), so that go is on PATH," \
        "and run this again."
}

name_network() { say "iproute2, iptables and curl"; }
have_network() { have ip && have iptables && have iptables-save && have nsenter && have sysctl && have curl && have cmp; }
get_network() { apt_install iproute2 iptables util-linux procps curl diffutils; }

name_registry() { say "a registry of images, and skopeo"; }
have_registry() { [ -x "$PARTS/registry/usr/bin/docker-registry" ] && have skopeo; }
# Debian's package is unpacked, not installed: so it starts no service.
get_registry() {
    have skopeo || apt_install skopeo
    rm -rf "$PARTS/registry"
    mkdir -p "$PARTS/registry"
    (cd "$PARTS/registry" && apt_try download docker-registry && dpkg -x ./docker-registry_*.deb . && rm ./docker-registry_*.deb)
}

# go_module <directory> <replacement>...: a module that is there only to build commands of others.
go_module() {
    local directory=$1
    shift
    rm -rf "$directory"
    mkdir -p "$directory"
    {
        say "module parts"
        say "go $GO_VERSION"
        for replacement in "$@"; do say "replace $replacement"; done
    } >"$directory/go.mod"
}

# go_command <directory of a module> <package>@<version> <program>: a program without C, the same wherever it is built. A module's
# version decides those of all it needs, and the checksum database vouches for each.
go_command() {
    cd "$1"
    export CGO_ENABLED=0 GOFLAGS=-mod=mod
    go get "$2"
    mkdir -p "$(dirname "$3")"
    nice go build -tags "${GO_TAGS:-}" -trimpath -buildvcs=false -ldflags "-s -w ${GO_LINK:-}" -o "$3.new" "${2%@*}"
    mv "$3.new" "$3"
}

name_etcd() { say "etcd $ETCD_VERSION"; }
have_etcd() { [ -x "$ETCD_HOME/etcd" ]; }
get_etcd() {
    go_module "$TARGET/go/etcd"
    go_command "$TARGET/go/etcd" "go.etcd.io/etcd/server/v3@v$ETCD_VERSION" "$ETCD_HOME/etcd"
}

name_apiserver() { say "kube-apiserver $KUBERNETES_VERSION"; }
have_apiserver() { [ -x "$KUBERNETES_HOME/kube-apiserver" ]; }
get_apiserver() { kubernetes kube-apiserver; }

name_controllers() { say "kube-controller-manager $KUBERNETES_VERSION"; }
have_controllers() { [ -x "$KUBERNETES_HOME/kube-controller-manager" ]; }
get_controllers() { kubernetes kube-controller-manager; }

name_service_proxy() { say "kube-proxy $KUBERNETES_VERSION"; }
have_service_proxy() { [ -x "$KUBERNETES_HOME/kube-proxy" ]; }
get_service_proxy() { kubernetes kube-proxy; }

name_kubectl() { say "kubectl $KUBERNETES_VERSION"; }
have_kubectl() { [ -x "$KUBERNETES_HOME/kubectl" ]; }
get_kubectl() { kubernetes kubectl; }

# Kubernetes names its own libraries without versions: they are those of the same release.
kubernetes() {
    local libraries library replacements=()
    libraries=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    for library in $(awk '$2 == "=>" && $1 ~ /^k8s.io/ { print $1 }' "$libraries"); do
        replacements+=("$library => $library v0.${KUBERNETES_VERSION#*.}")
    done
    go_module "$TARGET/go/$1" "${replacements[@]}"
    GO_LINK="-X k8s.io/component-base/version.gitVersion=v$KUBERNETES_VERSION" \
        go_command "$TARGET/go/$1" "k8s.io/kubernetes/cmd/$1@v$KUBERNETES_VERSION" "$KUBERNETES_HOME/$1"
}

name_istiod() { say "istiod $ISTIO_VERSION"; }
have_istiod() { [ -x "$ISTIO_HOME/pilot-discovery" ] && [ -f "$ISTIO_HOME/gateway-api.yaml" ]; }
# Beside it the definitions of the resources Gateway and HTTPRoute, of the version that it was made for.
get_istiod() {
    local definitions
    istio pilot/cmd/pilot-discovery
    definitions=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard
    awk 'FNR == 1 { print "---" } 1' "$definitions"/gateway.networking.k8s.io_{gatewayclasses,gateways,httproutes}.yaml >"$ISTIO_HOME/gateway-api.yaml"
}

name_agent() { say "Istio's agent $ISTIO_VERSION"; }
have_agent() { [ -x "$ISTIO_HOME/pilot-agent" ] && [ -f "$ISTIO_HOME/envoy_bootstrap_tmpl.json" ]; }
# Beside it what its image has: the template of Envoy's bootstrap.
get_agent() {
    istio pilot/cmd/pilot-agent
    cp "$(go list -m -f '{{.Dir}}' istio.io/istio)/tools/packaging/common/envoy_bootstrap.json" "$ISTIO_HOME/envoy_bootstrap_tmpl.json"
}

name_istioctl() { say "istioctl $ISTIO_VERSION"; }
have_istioctl() { [ -x "$ISTIO_HOME/istioctl" ]; }
get_istioctl() { istio istioctl/cmd/istioctl; }

istio() {
    local program=${1##*/}
    go_module "$TARGET/go/$program"
    GO_LINK="-X istio.io/istio/pkg/version.buildVersion=$ISTIO_VERSION -X istio.io/istio/pkg/version.buildTag=$ISTIO_VERSION -X istio.io/istio/pkg/version.buildHub=docker.io/istio" \
        go_command "$TARGET/go/$program" "istio.io/istio/$1@$ISTIO_MODULE" "$ISTIO_HOME/$program"
}

name_helm() { say "Helm $HELM_VERSION, and Istio's charts"; }
have_helm() { [ -x "$HELM_HOME/helm" ] && [ -f "$ISTIO_HOME/charts/istiod/Chart.yaml" ]; }
get_helm() {
    local charts
    go_module "$TARGET/go/helm"
    go_command "$TARGET/go/helm" "helm.sh/helm/v4/cmd/helm@v$HELM_VERSION" "$HELM_HOME/helm"
    charts=$(go mod download -json "istio.io/istio@$ISTIO_MODULE" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/manifests/charts
    rm -rf "$ISTIO_HOME/charts"
    mkdir -p "$ISTIO_HOME/charts"
    cp -r "$charts/base" "$ISTIO_HOME/charts/base"
    cp -r "$charts/istio-control/istio-discovery" "$ISTIO_HOME/charts/istiod"
    chmod -R u+w "$ISTIO_HOME/charts"
}

# Debian's has no discovery of Kubernetes' objects.
name_discovery() { say "Prometheus $PROMETHEUS_VERSION with Kubernetes discovery"; }
have_discovery() { [ -x "$PROMETHEUS_HOME/prometheus" ]; }
get_discovery() {
    go_module "$TARGET/go/prometheus"
    GO_TAGS=remove_all_sd,enable_kubernetes_sd \
        go_command "$TARGET/go/prometheus" "github.com/prometheus/prometheus/cmd/prometheus@v$PROMETHEUS_VERSION" "$PROMETHEUS_HOME/prometheus"
}

name_kiali() { say "Kiali $KIALI_VERSION"; }
have_kiali() { [ -x "$KIALI_HOME/kiali" ]; }
get_kiali() {
    go_module "$TARGET/go/kiali"
    GO_LINK="-X main.version=$KIALI_VERSION" go_command "$TARGET/go/kiali" "github.com/kiali/kiali@v$KIALI_VERSION" "$KIALI_HOME/kiali"
}
