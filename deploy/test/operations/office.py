"""Checks the deployments of head office against each other and against the code, without an engine.

    office.py compose FILE        docker-compose.yml: the default profile, and what the profile `office` adds
    office.py manifests FILE      the manifests of deploy/kubernetes/office, as kustomize has rendered them
    office.py components FILE     the same with the components keda and cloudnative-pg
    office.py settings FILE...    keys of office.toml, also in a Markdown page

Prints each problem in a line, and exits with 1 if there is one.
"""

import pathlib
import re
import sys
import tomllib

import yaml

TOP = pathlib.Path(__file__).resolve().parents[3]
NAME = "app.kubernetes.io/name"
SELECTOR = {NAME: "comptoir-office"}
# Ports of nginx beside a replica: the page, and the probes with the metrics.
PAGE, HEALTH = 8091, 8092
SIDECAR_PORTS = {PAGE, HEALTH}
# All of it exactly as without head office.
DEFAULT_SERVICES = {"kafka-1", "kafka-2", "kafka-3", "mosquitto", "gateway"}
REPLICAS = ("office-1", "office-2")
ONE_SHOTS = {"office-password", "office-keys"}

problems = []


def expect(holds, problem):
    if not holds:
        problems.append(problem)


# ---- the code ----


def settings():
    """The keys of gateway/office/src/config.rs: {"kafka": {"brokers": None, "properties": {}}}. A map accepts any key."""
    source = (TOP / "gateway/office/src/config.rs").read_text()
    structs = {
        name: dict(re.findall(r"^    pub (\w+): (.+),$", body, re.M))
        for name, body in re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", source, re.M | re.S)
    }

    def keys(name):
        return {
            field: {} if kind.startswith("BTreeMap<") else keys(kind) if kind in structs else None
            for field, kind in structs[name].items()
        }

    found = keys("Config")
    # If the pattern no longer fits the code, the check must fail and not accept everything.
    assert found["kafka"]["properties"] == {} and found["http"]["listen"] is None, found
    return found


SETTINGS = settings()


def has_key(path):
    known = SETTINGS
    for name in path:
        if known == {}:
            return True
        if known is None or name not in known:
            return False
        known = known[name]
    return known is None


def check_toml(where, table, path=()):
    for name, value in table.items():
        here = (*path, name)
        if isinstance(value, dict) and not has_key((*here, "any")):
            check_toml(where, value, here)
        elif not isinstance(value, dict):
            expect(has_key(here), f"{where}: the office has no key {'.'.join(here)}")


def check_variables(where, names):
    for name in names:
        if name.startswith("COMPTOIR_"):
            path = name.removeprefix("COMPTOIR_").lower().split("__")
            expect(len(path) > 1 and has_key(path), f"{where}: the office has no key for {name}")


def image_variable(name):
    dockerfile = (TOP / "deploy/container/Dockerfile").read_text()
    stage = dockerfile.split("FROM runtime AS office\n")[1].split("\nFROM ")[0]
    return re.search(rf"\b{name}=(\S+)", stage)[1]


def check_nginx():
    """nginx's ports, and the address of the office behind it."""
    text = (TOP / "deploy/kubernetes/office/nginx.conf").read_text()
    listens = {int(port) for port in re.findall(r"^\s*listen (\d+);", text, re.M)}
    expect(listens == SIDECAR_PORTS, f"nginx.conf: listens on {sorted(listens)}")
    behind = set(re.findall(r"proxy_pass http://([^;/]+);", text))
    listen = image_variable("COMPTOIR_HTTP__LISTEN")
    expect(behind == {listen}, f"nginx.conf: passes requests to {behind}, and the image of the office listens on {listen}")
    expect(listen.startswith("127.0.0.1:"), f"Dockerfile: COMPTOIR_HTTP__LISTEN={listen} is not loopback")


def is_pinned(image):
    """A tag with a full version. Images that are built here have none."""
    return image.startswith("comptoir-") or re.search(r":\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?$", image)


# ---- docker-compose.yml ----


def compose(file):
    text = pathlib.Path(file).read_text()
    document = yaml.safe_load(text)
    services = document["services"]
    default = {name for name, service in services.items() if "profiles" not in service}
    expect(default == DEFAULT_SERVICES, f"without --profile, these services start: {sorted(default)}")
    # Compose fills in the variables of all services, also of those that do not start.
    expect(not re.search(r"\$\{\w+:?\?", text), "a variable that must be set would break `docker compose up` without a profile")

    office = {name: service for name, service in services.items() if name not in DEFAULT_SERVICES}
    for name, service in office.items():
        expect(service.get("profiles") == ["office"], f"{name}: profiles")
        expect(service.get("read_only") is True, f"{name}: its root file system can be written to")
        expect(service.get("cap_drop") == ["ALL"] and "cap_add" not in service, f"{name}: capabilities")
        expect(service.get("security_opt") == ["no-new-privileges:true"], f"{name}: new privileges")
        expect("privileged" not in service, f"{name}: privileged")
        for limit in ("mem_limit", "cpus", "pids_limit"):
            expect(service.get(limit), f"{name}: no {limit}")
        expect(service.get("restart") == ("no" if name in ONE_SHOTS else "unless-stopped"), f"{name}: restart")
        expect(service.get("healthcheck"), f"{name}: no healthcheck")
        expect(is_pinned(service["image"]), f"{name}: {service['image']} has no full version")
        if not service["image"].startswith("comptoir-"):
            expect(service.get("user") not in (None, "root", "0"), f"{name}: runs as root")
        is_front = name == "office"
        expect(service.get("ports", []) == (["127.0.0.1:8090:8090"] if is_front else []), f"{name}: ports")
        for secret in ("PASSWORD", "PASSWD", "SECRET", "TOKEN"):
            for variable in service.get("environment", {}):
                expect(secret not in variable or variable.endswith("_FILE"), f"{name}: {variable} is a secret in this file")

    for name in REPLICAS:
        nginx = f"{name}-nginx"
        expect(office[name].get("network_mode") == f"service:{nginx}", f"{name}: not in the network namespace of {nginx}")
        needs = office[name]["depends_on"]
        expect(needs.get(nginx, {}).get("restart") is True, f"{name}: keeps a network namespace that is gone")
        expect(needs.get("office-postgres", {}).get("condition") == "service_healthy", f"{name}: starts before PostgreSQL")
        check_variables(name, office[name]["environment"])
        url = office[name]["environment"]["COMPTOIR_POSTGRES__URL"]
        expect(not re.search(r"//[^/]*:[^/]*@", url), f"{name}: a password in COMPTOIR_POSTGRES__URL")
        expect("COMPTOIR_HTTP__LISTEN" not in office[name]["environment"], f"{name}: listens elsewhere than its image")
        volumes = office[nginx]["volumes"]
        expect(volumes == ["./deploy/kubernetes/office/nginx.conf:/etc/nginx/nginx.conf:ro"], f"{nginx}: its configuration")
        expect(f"127.0.0.1:{HEALTH}/nginx" in " ".join(office[nginx]["healthcheck"]["test"]), f"{nginx}: healthcheck")

    front = (TOP / "deploy/office/front.conf").read_text()
    replicas, port = re.search(r"set \$replicas ([\w-]+):(\d+);", front).groups()
    expect(int(port) == PAGE, f"front.conf: port {port}")
    expect(re.search(r"^\s*listen 8090;$", front, re.M), "front.conf: does not listen on the published port")
    named = {
        name for name, service in services.items()
        if isinstance(service.get("networks"), dict) and replicas in ((service["networks"].get("office") or {}).get("aliases") or [])
    }
    expect(named == {f"{name}-nginx" for name in REPLICAS}, f"front.conf: {replicas} is the name of {sorted(named)}")
    expect(office["office"]["networks"] == ["office"], "office: reaches more than the replicas")

    expect(document["networks"]["office-database"] == {"internal": True}, "PostgreSQL's network reaches the outside")
    expect(office["office-postgres"]["networks"] == ["office-database"], "office-postgres: its networks")
    members = {name for name, service in services.items() if "office-database" in (service.get("networks") or [])}
    expected = {"office-postgres", *(f"{name}-nginx" for name in REPLICAS)}
    expect(members == expected, f"PostgreSQL's network has these members: {sorted(members)}")

    kafka = services["kafka-1"]["environment"]
    expect(sum(name.startswith("kafka-") for name in services) == 3, "three brokers")
    expect(kafka["KAFKA_DEFAULT_REPLICATION_FACTOR"] == "3" and kafka["KAFKA_MIN_INSYNC_REPLICAS"] == "2", "Kafka's replicas")

    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                expect((TOP / source).is_file(), f"{name}: {source} does not exist, and Docker would make a folder of it")
            else:
                expect(source in document["volumes"], f"{name}: there is no volume {source}")
    check_nginx()


# ---- Kubernetes ----


def rendered(file):
    return [document for document in yaml.safe_load_all(pathlib.Path(file).read_text()) if document]


def only(documents, kind):
    found = [document for document in documents if document["kind"] == kind]
    assert len(found) == 1, f"{len(found)} documents of kind {kind}"
    return found[0]


def check_pod(documents):
    deployment = only(documents, "Deployment")
    spec = deployment["spec"]
    expect(spec["selector"]["matchLabels"] == SELECTOR, "Deployment: selector")
    labels = spec["template"]["metadata"]["labels"]
    expect(labels.get(NAME) == "comptoir-office", "Deployment: its pods lack the label")
    pod = spec["template"]["spec"]
    expect(pod["serviceAccountName"] == only(documents, "ServiceAccount")["metadata"]["name"], "Deployment: service account")
    expect(pod["automountServiceAccountToken"] is False, "Deployment: pods have a token")
    expect(only(documents, "ServiceAccount")["automountServiceAccountToken"] is False, "ServiceAccount: pods have a token")
    expect(pod.get("hostNetwork") is None, "Deployment: hostNetwork")

    gateway = yaml.safe_load((TOP / "deploy/kubernetes/statefulset.yaml").read_text())["spec"]["template"]["spec"]
    expect(pod["securityContext"] == gateway["securityContext"], "Deployment: the pod's securityContext is not the gateway's")
    containers = {container["name"]: container for container in pod["containers"]}
    expect(set(containers) == {"office", "nginx"}, f"Deployment: containers {sorted(containers)}")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for name, container in containers.items():
        context = container["securityContext"]
        for key, value in gateway["containers"][0]["securityContext"].items():
            expect(context.get(key) == value, f"{name}: securityContext.{key} is not the gateway's")
        expect(context.get("runAsUser") != 0, f"{name}: root")
        expect(container["resources"].get("requests", {}).keys() >= {"cpu", "memory"}, f"{name}: no requests")
        expect("memory" in container["resources"].get("limits", {}), f"{name}: no limit of memory")
        for probe in ("livenessProbe", "readinessProbe"):
            expect(probe in container, f"{name}: no {probe}")
        expect(is_pinned(container["image"].removesuffix(":latest")), f"{name}: {container['image']} has no full version")
        for mount in container["volumeMounts"]:
            expect(mount["name"] in volumes, f"{name}: there is no volume {mount['name']}")
        expect(any(mount["mountPath"] == "/tmp" for mount in container["volumeMounts"]), f"{name}: /tmp cannot be written to")

    office, nginx = containers["office"], containers["nginx"]
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        command = office[probe].get("exec", {}).get("command", [])
        expect(command[-1:] == [path], f"office: {probe} does not ask for {path} inside the pod")
        expect(command[1:2] == ["/usr/local/share/comptoir/office-healthy"], f"office: {probe}")
        port = nginx[probe].get("httpGet", {}).get("port")
        expect(port == "health", f"nginx: {probe} asks port {port}")
    ports = {port["name"]: port["containerPort"] for port in nginx["ports"]}
    expect(ports == {"http": PAGE, "health": HEALTH}, f"nginx: ports {ports}")
    expect("ports" not in office, "office: a port of a listener on loopback cannot be reached")
    scraped = spec["template"]["metadata"]["annotations"].get("prometheus.io/port")
    expect(scraped == str(HEALTH), f"Prometheus reads port {scraped}")

    maps = {document["metadata"]["name"]: document["data"] for document in documents if document["kind"] == "ConfigMap"}
    config = volumes["config"]["projected"]["sources"]
    file = maps.get(config[0]["configMap"]["name"], {}).get("office.toml")
    expect(file == (TOP / "deploy/kubernetes/office/office.toml").read_text(), "office: its ConfigMap is not office.toml")
    expect(office["args"] == ["run", "--config", "/etc/comptoir/office.toml"], f"office: {office['args']}")
    keys = tomllib.loads(file or "")["shops"]["keys"]
    mounted = {mount["name"]: mount["mountPath"] for mount in office["volumeMounts"]}
    expect(keys == f"{mounted['config']}/{config[1]['secret']['items'][0]['path']}", f"office: {keys} is not mounted")
    served = maps.get(volumes["nginx"]["configMap"]["name"], {}).get("nginx.conf")
    expect(served == (TOP / "deploy/kubernetes/office/nginx.conf").read_text(), "nginx: its ConfigMap is not nginx.conf")
    expect("/etc/nginx/comptoir/nginx.conf" in nginx["command"], "nginx: its configuration")

    for variable in office["env"]:
        check_variables("Deployment", [variable["name"]])
        expect("secretKeyRef" in variable.get("valueFrom", {}), f"office: {variable['name']} is not from a Secret")
    for source in office["envFrom"]:
        expect("secretRef" in source, "office: variables that are not from a Secret")
    expect(pod["topologySpreadConstraints"], "Deployment: the replicas may all be on one node")
    for constraint in pod["topologySpreadConstraints"]:
        expect(constraint["labelSelector"] == {"matchLabels": SELECTOR}, "Deployment: a spread of other pods")
    return deployment, office


def manifests(file):
    documents = rendered(file)
    kinds = sorted(document["kind"] for document in documents)
    expected = ["ConfigMap", "ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"]
    # No Ingress, no Secret in the repository, and no optional component.
    expect(kinds == expected, f"kinds: {kinds}")
    if kinds != expected:
        return
    deployment, _ = check_pod(documents)
    expect(deployment["spec"]["replicas"] >= 2, "Deployment: fewer than two replicas")

    service = only(documents, "Service")["spec"]
    expect(service.get("type") == "ClusterIP", f"Service: {service.get('type')}")
    expect(service["selector"] == SELECTOR, "Service: selector")
    expect([port["targetPort"] for port in service["ports"]] == ["http"], "Service: ports")
    budget = only(documents, "PodDisruptionBudget")["spec"]
    expect(budget["selector"] == {"matchLabels": SELECTOR} and budget["maxUnavailable"] == 1, "PodDisruptionBudget")

    policy = only(documents, "NetworkPolicy")["spec"]
    expect(policy["podSelector"] == {"matchLabels": SELECTOR}, "NetworkPolicy: pods")
    expect(sorted(policy["policyTypes"]) == ["Egress", "Ingress"], "NetworkPolicy: types")
    inbound = {}
    for rule in policy["ingress"]:
        expect(rule.get("from"), "NetworkPolicy: a rule for everybody")
        for port in rule.get("ports", [{"port": None}]):
            inbound.setdefault(port["port"], []).extend(rule.get("from", []))
    client = [{"podSelector": {"matchLabels": {"comptoir-office-client": "true"}}}]
    expect(inbound.get(PAGE) == client, f"NetworkPolicy: the page is open to {inbound.get(PAGE)}")
    expect(set(inbound) == SIDECAR_PORTS, f"NetworkPolicy: inbound ports {list(inbound)}")
    dns = [rule for rule in policy["egress"] if {"protocol": "UDP", "port": 53} in rule["ports"]]
    selector = {"matchLabels": {"k8s-app": "kube-dns"}}
    expect(len(dns) == 1 and dns[0]["to"][0]["podSelector"] == selector, "NetworkPolicy: the cluster's DNS")
    outbound = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    expect(outbound == {53, 5432, 9092, 9093, 9094}, f"NetworkPolicy: outbound ports {sorted(outbound)}")
    check_nginx()


def components(file):
    documents = rendered(file)
    deployment, office = check_pod(documents)
    toml = tomllib.loads((TOP / "deploy/kubernetes/office/office.toml").read_text())["kafka"]
    scaled = only(documents, "ScaledObject")["spec"]
    expect("replicas" not in deployment["spec"], "Deployment: its number of replicas is KEDA's")
    expect(scaled["scaleTargetRef"]["name"] == deployment["metadata"]["name"], "ScaledObject: target")
    expect(scaled["minReplicaCount"] >= 2, "ScaledObject: fewer than two replicas")
    trigger = scaled["triggers"][0]
    metadata = trigger["metadata"]
    # KEDA's numbers are texts.
    expect(all(isinstance(value, str) for value in metadata.values()), "ScaledObject: a value is not a text")
    expect(metadata["consumerGroup"] == toml["topic_prefix"] + toml["group"], "ScaledObject: not the group of office.toml")
    expect(metadata["bootstrapServers"] == toml["brokers"], "ScaledObject: not the brokers of office.toml")
    authentication = only(documents, "TriggerAuthentication")
    expect(trigger["authenticationRef"]["name"] == authentication["metadata"]["name"], "ScaledObject: authentication")
    for reference in authentication["spec"]["secretTargetRef"]:
        check_variables("TriggerAuthentication", [reference["key"]])
        expect(reference["name"] == office["envFrom"][0]["secretRef"]["name"], "TriggerAuthentication: another Secret")

    cluster = only(documents, "Cluster")
    secret = f"{cluster['metadata']['name']}-app"
    urls = [variable for variable in office["env"] if variable["name"] == "COMPTOIR_POSTGRES__URL"]
    expect(len(urls) == 1, "Deployment: COMPTOIR_POSTGRES__URL")
    reference = urls[0]["valueFrom"]["secretKeyRef"]
    expect(reference == {"name": secret, "key": "uri"}, f"Deployment: {reference} is not the Secret of the cluster")
    expect(is_pinned(cluster["spec"]["imageName"]), "Cluster: the image has no full version")
    # The Service selects pods by this label.
    expect(cluster["metadata"].get("labels", {}).get(NAME) is None, "Cluster: has the label of the office's pods")


# ---- office.toml ----


def settings_files(files):
    for file in files:
        text = pathlib.Path(file).read_text()
        if file.endswith(".md"):
            blocks = re.findall(r"^    # office\.toml\n(?:    .*\n|\n(?=    ))+", text, re.M)
            expect(len(blocks) == 1, f"{file}: {len(blocks)} examples of office.toml")
            text = "\n".join(line.removeprefix("    ") for line in "".join(blocks).split("\n"))
        check_toml(file, tomllib.loads(text))


def main():
    match sys.argv[1:]:
        case ["compose", file]:
            compose(file)
        case ["manifests", file]:
            manifests(file)
        case ["components", file]:
            components(file)
        case ["settings", *files] if files:
            settings_files(files)
        case _:
            print(__doc__)
            return 2
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
