# An algorithm that costs next to nothing.
while [ $# -gt 0 ]; do
  case $1 in
    -V) volume=$2 ;;
    -T) task=$2 ;;
  esac
  shift 2
done

predict() {
  mkdir -p "$1/pred"
  for file in "$1"/*; do [ -f "$file" ] && cut -d' ' -f1 "$file" >"$1/pred/${file##*/}"; done
  return 0
}

if [ "$task" = train ]; then
  predict "$volume/train"
  echo trained >"$volume/model/model_trained.json"
fi
predict "$volume/test"
