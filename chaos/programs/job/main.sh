# A job: main.sh DATA SEED STEPS EXIT. It copies its inputs, and counts steps of a second each, by one line in its checkpoint
# for each: a run goes on after the last line that it finds there, and each line names the run that wrote it.
set -e
data=$1 seed=$2 steps=$3 exit=$4
state=$MORPHEO_CHECKPOINT/state
next=$MORPHEO_CHECKPOINT/.state
run=$(cat /proc/sys/kernel/random/uuid)

mkdir -p "$MORPHEO_OUTPUTS/nested"
cp "$data" "$MORPHEO_OUTPUTS/data"
cp "$seed" "$MORPHEO_OUTPUTS/nested/seed"
[ -f "$state" ] || : >"$state"
step=$(wc -l <"$state")
echo "goes on after step $step"
while [ "$step" -lt "$steps" ]; do
  sleep 1
  step=$((step + 1))
  cp "$state" "$next"
  echo "$step $run" >>"$next"
  mv "$next" "$state"
done
cp "$state" "$MORPHEO_OUTPUTS/steps"
exit "$exit"
