#!/usr/bin/env bash
# Downloads the Kafka server of pom.xml into the cache and makes an archive of its classes, which halves its start time:
# $COMPTOIR_CACHE/kafka-<version>/{lib/*.jar,tools/*.jar,classes.jsa}. Does nothing if all exist.
set -euo pipefail
export LC_ALL=C # the order of the jars is part of the class archive

here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
folder=${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}/kafka-$version
java=$(java -version 2>&1)

work=
server=
clean_up() {
    if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null || true; fi
    if [ -n "$work" ]; then rm -rf "$work"; fi
}
trap clean_up EXIT

mkdir -p "$folder"
# The lock keeps two runs from moving one folder into the other.
exec 9>"$folder/lock"
flock 9

if [ ! -d "$folder/lib" ]; then
    echo "Fetching Apache Kafka $version into $folder"
    work=$(mktemp -d "$folder/fetch.XXXXXX")
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/lib"
    mv "$work/lib" "$folder/lib"
    rm -rf "$work"
fi

# The tools (kafka-acls.sh and others). In a folder of their own, because the archive below belongs to the jars of lib.
if [ ! -d "$folder/tools" ]; then
    work=$(mktemp -d "$folder/fetch.XXXXXX")
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact="org.apache.kafka:kafka-tools:$version" -DoutputDirectory="$work/tools"
    mv "$work/tools" "$folder/tools"
    rm -rf "$work"
fi

# An archive fits only the JVM version that made it.
if [ -e "$folder/classes.jsa" ] && [ "$java" = "$(cat "$folder/java-version")" ]; then
    exit 0
fi
echo "Archiving the classes that Kafka $version loads at its start"
work=$(mktemp -d "$folder/archive.XXXXXX")
class_path=$(printf '%s:' "$folder"/lib/*.jar)
run=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx384m
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.log.kafka.server=info
    -cp "${class_path%:}")
controller=127.0.0.1:$((10000 + RANDOM % 20000))
cat >"$work/server.properties" <<END
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://$controller
advertised.listeners=PLAINTEXT://127.0.0.1:9092
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$work/data
offsets.topic.replication.factor=1
END
"${run[@]}" kafka.tools.StorageTool format --standalone \
    --cluster-id comptoirComptoirArchiv --config "$work/server.properties" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
"${run[@]}" -XX:ArchiveClassesAtExit="$work/classes.jsa" kafka.Kafka "$work/server.properties" >"$work/log" 2>&1 9>&- &
server=$!
for ((i = 0; i < 600; i++)); do
    grep -q 'Kafka Server started' "$work/log" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
kill -TERM "$server"
wait "$server" || true # a JVM that got a SIGTERM answers 143
server=
mv -f "$work/classes.jsa" "$folder/classes.jsa"
echo "$java" >"$folder/java-version"
