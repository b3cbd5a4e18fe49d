"""An Apache Kafka on this machine, for the guest."""

import collections
import os
import re
import signal
import subprocess

from common import CACHE, TOP, Failed, free_port, within

TOPICS = ["orders", "payments", "deliveries"]


class Kafka:
    """A real single-node Kafka. It has two listeners, because the guest reaches this machine's loopback as 10.0.2.2."""

    def __init__(self, work):
        self.folder = work / "kafka"
        self.folder.mkdir()
        subprocess.run([TOP / "gateway/harness/kafka/fetch.sh"], check=True, stdout=subprocess.DEVNULL)
        pom = (TOP / "gateway/harness/kafka/pom.xml").read_text()
        version = re.search("<kafka.version>(.*)</kafka.version>", pom).group(1)
        jars = ":".join(str(jar) for jar in sorted((CACHE / f"kafka-{version}/lib").glob("*.jar")))
        self.host, self.guest, controller = free_port(), free_port(), free_port()
        properties = self.folder / "server.properties"
        properties.write_text(f"""process.roles=broker,controller
node.id=1
listeners=HOST://127.0.0.1:{self.host},GUEST://127.0.0.1:{self.guest},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=HOST://127.0.0.1:{self.host},GUEST://10.0.2.2:{self.guest}
listener.security.protocol.map=HOST:PLAINTEXT,GUEST:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=HOST
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={self.folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
""")
        java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m"]
        java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", jars]
        log = open(self.folder / "log", "wb")
        subprocess.run(
            java + ["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", "comptoirComptoirImages"]
            + ["--config", str(properties)], check=True, stdout=log, stderr=log)
        self.process = subprocess.Popen(java + ["kafka.Kafka", str(properties)], stdout=log, stderr=log)
        within("Kafka", 90, lambda: self.kcat("-L", "-J").returncode == 0)

    def kcat(self, *arguments):
        return subprocess.run(["kcat", "-b", f"127.0.0.1:{self.host}", "-m", "5", *arguments],
                              capture_output=True, text=True, timeout=120)

    def read(self):
        """The ce_id of every committed event, with its number of occurrences."""
        found = collections.Counter()
        for topic in TOPICS:
            result = self.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%h\n",
                               "-X", "isolation.level=read_committed")
            if result.returncode != 0:
                raise Failed(f"kcat of {topic}: {result.stderr}")
            found.update(re.findall(r"ce_id=([^,\s]+)", result.stdout))
        return found

    def pause(self):
        """Simulates a network that drops every packet: connections are neither refused nor answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        self.resume()
        self.process.terminate()
        self.process.wait(30)
